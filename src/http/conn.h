/* conn.h - a connection, the request it is at, and the answer to it: what the files of this room share. */
#ifndef BERTH_HTTP_CONN_H
#define BERTH_HTTP_CONN_H

#include "gate.h"
#include "router.h"
#include "target.h"
#include "tls.h"
#include <berth/buf.h>
#include <berth/http.h>
#include <berth/sock.h>
#include <llhttp.h>

typedef struct conn conn;

/* The bytes of one message on their way in; there only between its first byte and its last. */
typedef struct inbound {
    llhttp_t parser;
    head_scan scan;
    chunk_gate chunks;
    buf head;
    http_head fields;
} inbound;

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
    tls_session *tls;  /* NULL on plain connections */
    conn_state state;
    bool is_unix, last, eof, deadline_set, reading;
    bool body_done, closed;
    bool unrouted;     /* r waits for its body: no handler has it yet */
    uint32_t drained;
    uint64_t deadline_ms;
    bool fresh;        /* nothing was answered yet */
    inbound *in;
    buf ahead;         /* read but not yet parsed: pipelined requests, a body nobody reads yet, early raw bytes */
    request *r;        /* until its answer has ended */
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
    unsigned refs;     /* the connection's, the answer's */
    conn *c;           /* NULL when the client is gone */
    http_server *server;
    arena *arena;
    char *head_text;
    http_head head;
    target target;
    route_match match;
    http_method method;
    int version;
    bool answered, gone, gone_told;
    buf extra;         /* header lines of the handler's own */
    buf body;
    const body_sink *sink;
    void *sink_arg;
    bool sink_ended, body_paused, body_over;
    err *body_error;
    void (*on_gone)(void *arg);
    void *gone_arg;
    stream *stream;
};

struct http_server {
    http_opts opts;
    router *router;
    struct listening *listening;
    conn *conns;
    unsigned n_conns;
    size_t heads_bytes;    /* of all unfinished heads */
    unsigned n_deadlines;
    struct timer *sweep;
    char date[40];
    uint64_t date_s;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    struct timer *grace;
    char *common;          /* the header lines of every answer but Date */
};

/* ---- conn.c ---- */
void conn_new(http_server *s, sock *sk, http_tls *tls);
void conn_write(conn *c, const void *p1, size_t n1, const void *p2, size_t n2);
size_t conn_unsent(const conn *c);
void conn_close(conn *c);          /* at once */
void conn_answered(conn *c);       /* the answer is complete (handed to the socket) */
void conn_read_body(conn *c);      /* somebody wants the body now */
void conn_body_flow(conn *c);      /* a pause or a resume of the body's reader */
void conn_hijacked(conn *c);
void conn_refuse(conn *c, int status, const char *text); /* answer without a request, then close */
void conn_sweep(http_server *s, uint64_t now_ms);
void conn_gone(http_server *s);    /* server.c: one connection less */
const char *method_name(http_method m);

/* ---- request.c ---- */
request *request_new(conn *c);
void request_unref(request *r);
void request_gone(request *r);     /* the client closed or half-closed */
void request_body_in(request *r, const char *p, size_t n);
void request_body_end(request *r, err *e);

/* ---- reply.c ---- */
const char *status_text(int status);
void reply_continue(conn *c);
void stream_drained(stream *s);
void stream_client_gone(stream *s);
void reply_plain_error(conn *c, int status, const char *text); /* JSON, Connection: close */

/* ---- middleware.c ---- */
/* Version, OPTIONS, unclean paths, routes: runs the handler or answers itself. */
void middleware_route(request *r);
/* After the head, before the body: finds the route; false when the answer is clear without the body. */
bool middleware_find(request *r);
void middleware_log(const request *r);

#endif
