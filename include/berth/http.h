/* http.h - the HTTP server: listeners, limits, the route table.  Loop thread only. */
#ifndef BERTH_HTTP_H
#define BERTH_HTTP_H

#include <berth/err.h>
#include <berth/route.h>
#include <stdbool.h>
#include <stddef.h>

/* Limits; each is a named constant with a test. */
enum {
    HTTP_HEAD_MAX = 1 << 20,          /* request line and headers: 431 */
    HTTP_HEADERS_MAX = 1000,          /* 431 */
    HTTP_HEADS_TOTAL_MAX = 64 << 20,  /* all unfinished heads together: the oldest is dropped */
    HTTP_JSON_BODY_MAX = 16 << 20,    /* 413 */
    HTTP_HEAD_TIMEOUT_MS = 10 * 1000, /* from the first byte of a head to its end */
    HTTP_TLS_TIMEOUT_MS = 10 * 1000,  /* handshake */
    HTTP_JSON_IDLE_MS = 30 * 1000,    /* 408 */
    HTTP_STREAM_IDLE_MS = 10 * 60 * 1000,
    HTTP_TCP_KEEPALIVE_MS = 180 * 1000, /* idle keep-alive on TCP; none on unix sockets */
    HTTP_CONNECTIONS_MAX = 10000,
    HTTP_UNSENT_MAX = 64 << 10,         /* unsent answers that pause pipelining */
    HTTP_STREAM_UNSENT_MAX = 256 << 10, /* unsent bytes that pause a stream's producer */
};

typedef struct http_server http_server;
typedef struct http_tls http_tls;

typedef struct http_opts {
    const char *server_header;        /* "Name/1.0 (linux)" */
    const char *const *extra_headers; /* "Name: value" lines of every answer, NULL-terminated */
    int api_min, api_max;             /* minors of 1.x */
    /* Asked before each routed handler; a non-NULL error is the answer.  May be NULL. */
    err *(*before)(request *r);
} http_opts;

http_server *http_server_new(const http_opts *opts); /* strings stay the caller's */
/* Replace the route table; requests in flight keep the handler they have.  tables ends with NULL.
 */
void http_server_set_routes(http_server *s, const route *const *tables);
/* Listen on "unix:///path", "tcp://host:port" (tls may be NULL: plain), or descriptors of
 * socket activation: "fd://" and "fd://" with a star (all), "fd://N" (one; the others are closed).
 * group names the owner group of unix sockets. */
must_check err *http_server_listen(http_server *s, const char *address, const char *group,
                                   http_tls *tls);
/* While paused nobody is accepted: who connects waits in the backlog. */
void http_server_pause(http_server *s, bool paused);
unsigned http_server_port(
    const http_server *s); /* of the first TCP listener, 0 when there is none */
/* Stop accepting, end idle connections and streams; done(arg) when all are gone or after grace_ms.
 */
void http_server_close(http_server *s, unsigned grace_ms, void (*done)(void *arg), void *arg);
void http_server_free(http_server *s);
unsigned http_server_connections(const http_server *s);

typedef struct http_tls_opts {
    const char *ca_file; /* client certificates must chain to it; NULL: none asked */
    const char *cert_file, *key_file;
} http_tls_opts;
must_check err *http_tls_new(const http_tls_opts *opts, http_tls **ret_tls);
void http_tls_free(http_tls *t);

#endif
