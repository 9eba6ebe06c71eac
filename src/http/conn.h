/* conn.h - a connection, the request it is at, and the answer to it: what the files of this room
 * share. */
#ifndef BERTH_HTTP_CONN_H
#define BERTH_HTTP_CONN_H

#include "inbound.h"
#include "router.h"
#include "target.h"
#include "tls.h"
#include <berth/buf.h>
#include <berth/http.h>
#include <berth/sock.h>

typedef struct conn conn;

typedef enum conn_state {
    CONN_IDLE,     /* between requests */
    CONN_HEAD,     /* a head has begun */
    CONN_BODY,     /* collecting a small body before the handler runs */
    CONN_BUSY,     /* the handler has the request */
    CONN_HIJACKED, /* raw bytes both ways */
    CONN_DRAIN,    /* answered; the rest of the body is read and dropped */
    CONN_CLOSING,  /* what is unsent is sent, nothing more is read */
} conn_state;

struct conn {
    http_server *server;
    sock *sock;
    tls_session *tls; /* NULL on plain connections */
    conn_state state;
    bool is_unix, last, reading, closed;
    bool eof, eof_told;
    bool unrouted;  /* r waits for its body: no handler has it yet */
    bool body_done; /* all of r's message was read */
    bool feeding;   /* in's parser is running */
    bool deadline_set;
    uint8_t blank; /* see blank_feed */
    uint32_t drained;
    uint64_t deadline_ms, idle_ms;
    size_t unsent_seen; /* while closing, to tell slow from stalled */
    inbound *in;        /* there only between a message's first byte and its last */
    buf ahead;  /* read but not yet parsed: pipelined requests, a body nobody reads yet, early raw
                   bytes */
    request *r; /* until its answer has ended */
    conn *prev, *next; /* of the server's list */
};

struct stream {
    request *r;
    stream_ops ops;
    void (*on_data)(void *arg, const char *p, size_t n);
    void (*on_eof)(void *arg);
    void *arg;
    bool raw, chunked, head_only, full, ended, stopped, begun_chunk, in_pull;
};

struct request {
    unsigned refs; /* the connection's, the answer's */
    conn *c;       /* NULL when the client is gone */
    http_server *server;
    arena *arena;
    char *head_text;
    http_head head;
    target target;
    route_match match;
    http_method method;
    int version;
    bool answered, gone_told;
    buf extra; /* header lines of the handler's own */
    buf body;
    const body_sink *sink;
    void *sink_arg;
    bool sink_ended, body_paused, body_over;
    err *body_error;
    void (*on_gone)(void *arg);
    void *gone_arg;
    stream *stream;
};

/* The limits of http.h; tests shorten them. */
typedef struct http_limits {
    unsigned head_ms, tls_ms, json_idle_ms, stream_idle_ms, keepalive_ms;
    unsigned linger_ms;      /* for the client to close after the last answer */
    unsigned idle_spared_ms; /* a connection idle for less is not shed when places are short */
    unsigned sweep_ms;
    unsigned connections;
    size_t heads_bytes;
} http_limits;

struct http_server {
    http_opts opts;
    http_limits limits;
    router *router;
    struct listening *listening;
    conn *conns;
    unsigned n_conns;
    size_t heads_bytes; /* of all unfinished heads */
    unsigned n_deadlines;
    struct timer *sweep;
    bool sweeping; /* the timer runs */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    struct timer *grace;
    char *own_lines; /* header lines of every answer, but Date */
    buf common;      /* those and Date, of second common_s */
    uint64_t common_s;
};

/* ---- conn.c ---- */
void conn_new(http_server *s, sock *sk, http_tls *tls);
void conn_write(conn *c, const void *p1, size_t n1, const void *p2, size_t n2);
size_t conn_unsent(const conn *c);
void conn_close(conn *c);     /* at once */
void conn_answered(conn *c);  /* the answer is complete (handed to the socket) */
void conn_read_body(conn *c); /* somebody wants the body now */
void conn_body_flow(conn *c); /* a pause or a resume of the body's reader */
void conn_hijacked(conn *c);
void conn_overdue(conn *c);            /* its deadline has passed */
void conn_refuse(conn *c, int status); /* answer without a handler, then close */
void conn_close_gently(conn *c);       /* what is unsent still goes out */
void conn_next(conn *c);               /* the message and its answer are over */

/* ---- conn_message.c: bytes to requests; each says how many bytes it used ---- */
size_t conn_head_begin(conn *c, const char *p, size_t n);
size_t conn_head_feed(conn *c, const char *p, size_t n);
size_t conn_body_feed(conn *c, const char *p, size_t n);
void conn_body_broken(conn *c, err_class kind, const char *why);
void conn_say_continue(conn *c);
void conn_inbound_free(conn *c);

/* ---- conn_time.c ---- */
void sweep_begin(http_server *s);
void deadline_set(conn *c, uint64_t after_ms);
void deadline_clear(conn *c);
void deadline_idle(conn *c);
bool peer_hung_up(const conn *c); /* both ways, as opposed to a half-close */

/* ---- server.c ---- */
void conn_gone(http_server *s); /* one connection less */

/* ---- request.c ---- */
request *request_new(conn *c);
void request_unref(request *r);
void request_gone(request *r); /* the client closed or half-closed */
void request_body_in(request *r, const char *p, size_t n);
void request_body_end(request *r, err *e);

/* ---- reply.c ---- */
const char *status_text(int status);
void stream_drained(stream *s);
void stream_client_gone(stream *s);
void reply_plain_error(conn *c, int status,
                       const char *text); /* without a request; Connection: close */

/* ---- middleware.c ---- */
/* Version, OPTIONS, unclean paths, routes: runs the handler or answers itself. */
void middleware_route(request *r);
/* After the head, before the body: finds the route; false when the answer is clear without the
 * body. */
bool middleware_find(request *r);
void middleware_log(const request *r);

#endif
