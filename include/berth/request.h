/* request.h - one HTTP request as a handler sees it, and the ways to answer it.
 *
 * A handler answers exactly once, now or later: reply_json, reply_bytes, reply_empty, reply_error,
 * reply_stream or reply_hijack.  A request outlives its connection: when the client is gone, it is
 * marked so and every later call does nothing.  It is freed after the answer has ended.
 * Loop thread only. */
#ifndef BERTH_REQUEST_H
#define BERTH_REQUEST_H

#include <berth/arena.h>
#include <berth/err.h>
#include <berth/json.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct request request;
typedef struct stream stream;

typedef enum http_method { GET, HEAD, POST, PUT, DELETE, OPTIONS, METHOD_COUNT } http_method;

/* ---- what was asked ---- */
http_method request_method(const request *r);
const char *request_path(const request *r); /* decoded, without the version prefix */
const char *request_uri(const request *r);  /* as it arrived */
int request_version(
    const request *r); /* the minor of the API version: 51 for 1.51; the newest without a prefix */
arena *request_arena(request *r); /* freed with the request */
const char *request_param(
    const request *r,
    const char *name); /* {name} of the pattern, decoded; never NULL for a name that is in it */
const char *request_header(const request *r, const char *name); /* NULL when absent; any case */
const char *request_query(const request *r,
                          const char *name); /* decoded; the first; NULL when absent */
const char *request_query_nth(const request *r, const char *name,
                              size_t i); /* repeated parameters */
/* false for "", 0, no, false, none in any case; absent gives otherwise. */
bool request_query_bool(const request *r, const char *name, bool otherwise);
/* Absent or "" gives otherwise; ERR_INVALID with dockerd's text when it is not a number. */
must_check err *request_query_int(const request *r, const char *name, int64_t otherwise,
                                  int64_t *ret_n);
bool request_upgrades(const request *r); /* Connection: Upgrade was asked for */
bool request_is_gone(const request *r);  /* the client closed */
/* fn(arg) once, when the client closes (or half-closes) before the answer has ended; NULL removes
 * it. */
void request_on_gone(request *r, void (*fn)(void *arg), void *arg);

/* ---- its body ---- */
/* Routes without BODY_STREAM have the whole body (at most HTTP_JSON_BODY_MAX) before the handler
 * runs. */
const char *request_body(const request *r, size_t *ret_n); /* "" when there is none */
/* Decode the body; with dockerd's texts for a missing or wrong Content-Type, an empty body (unless
 * may_be_empty: then *ret stays as it is) and bad JSON. */
must_check err *request_json(request *r, const json_type *type, bool may_be_empty, void *ret);
/* Routes with BODY_STREAM: the handler names a sink, at once or later; nothing is read before.
 * on_end runs exactly once (e: the client went away or sent nonsense; owned by the callee) unless
 * the body was dropped or the answer has ended before. */
typedef struct body_sink {
    void (*on_data)(void *arg, const char *p, size_t n);
    void (*on_end)(void *arg, err *e);
} body_sink;
void request_body_read(request *r, const body_sink *sink, void *arg);
void request_body_pause(request *r, bool paused);
void request_body_drop(request *r); /* no further callback; the rest is not kept */

/* ---- the answer ---- */
void reply_header(request *r, const char *name, const char *value); /* before the answer; copied */
void reply_json(request *r, int status, const json_type *type, const void *object);
void reply_bytes(request *r, int status, const char *content_type, const void *p, size_t n);
void reply_empty(request *r, int status);
void reply_error(request *r, err *e); /* consumes e; {"message": ...}; alone maps class to status */

/* An unbounded answer.  Headers leave at once.  pull runs first after they did, then whenever the
 * socket has drained after stream_write said full; a producer without anything to say returns and
 * writes later.  stop runs exactly once, whatever ended it: stream_end, the client, the server. */
typedef struct stream_ops {
    void (*pull)(void *arg, stream *s);
    void (*stop)(void *arg);
} stream_ops;
stream *reply_stream(request *r, int status, const char *content_type, const stream_ops *ops,
                     void *arg);
bool stream_write(stream *s, const void *p,
                  size_t n); /* false: over the bound, wait for pull (p was taken) */
/* Two pieces as one chunk: a frame's header and its payload. */
bool stream_write2(stream *s, const void *p1, size_t n1, const void *p2, size_t n2);
size_t stream_unsent(const stream *s);
void stream_end(
    stream *s); /* all is sent, then the answer is complete; stop follows from the loop */
void stream_abort(
    stream *s); /* the answer cannot be completed: the connection is closed as broken */

/* A hijacked connection: 101 UPGRADED when the client asked to upgrade, else 200, then raw bytes
 * both ways until stream_end or the client closes.  Bytes that came with the request are not lost.
 */
typedef struct hijack_ops {
    stream_ops stream;
    void (*on_data)(void *arg, const char *p, size_t n);
    void (*on_eof)(void *arg); /* the client closed its write side; the answer goes on */
} hijack_ops;
stream *reply_hijack(request *r, const char *content_type, const hijack_ops *ops, void *arg);
void stream_read_pause(stream *s, bool paused);

#endif
