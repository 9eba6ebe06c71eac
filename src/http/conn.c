/* conn.c - one connection: bytes to requests, answers to bytes, plain or TLS alike.
 *
 * One request at a time has the connection; what comes behind it waits in c->ahead, at most a
 * socket's read beyond AHEAD_MAX.  Reading goes on while a handler works, so that a hang-up is seen.
 * Between requests a connection holds nothing but this struct.  Loop thread only. */
#include "conn.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
    AHEAD_MAX = 64 << 10,
    DRAIN_MAX = 256 << 10,   /* of an unread body after its answer */
    LINGER_MS = 2000,        /* for the client to take the last answer and close */
};

static void pump(conn *c);

/* ---- time limits: one sweep for all, nothing for an idle unix connection ---- */

static void deadline_set(conn *c, uint64_t after_ms)
{
    if (!c->deadline_set)
        c->server->n_deadlines++;
    c->deadline_set = true;
    c->deadline_ms = loop_now_ms() + after_ms;
}

static void deadline_clear(conn *c)
{
    if (c->deadline_set)
        c->server->n_deadlines--;
    c->deadline_set = false;
}

static void deadline_idle(conn *c)
{
    if (c->is_unix)
        deadline_clear(c);
    else
        deadline_set(c, HTTP_TCP_KEEPALIVE_MS);
}

/* ---- reading ---- */

static bool wants_input(const conn *c)
{
    switch (c->state) {
    case CONN_BUSY:
    case CONN_HIJACKED:
        return c->ahead.len < AHEAD_MAX;
    case CONN_IDLE:
        return c->ahead.len < AHEAD_MAX && conn_unsent(c) < HTTP_UNSENT_MAX;
    default:
        return true;
    }
}

static void reading_adjust(conn *c)
{
    bool on = !c->closed && !c->eof && wants_input(c);

    if (on != c->reading && !c->closed)
        sock_read(c->sock, on);
    c->reading = on;
}

static void inbound_free(conn *c)
{
    if (!c->in)
        return;
    c->server->heads_bytes -= c->in->head.len;
    buf_done(&c->in->head);
    free(c->in->fields.fields);
    free(take(c->in));
}

/* ---- writing and closing ---- */

void conn_write(conn *c, const void *p1, size_t n1, const void *p2, size_t n2)
{
    if (c->closed)
        return;
    if (!c->tls) {
        sock_write2(c->sock, p1, n1, p2, n2);
        return;
    }
    tls_session_write(c->tls, p1, n1);
    if (n2)
        tls_session_write(c->tls, p2, n2);
}

size_t conn_unsent(const conn *c)
{
    return c->closed ? 0 : sock_unsent(c->sock);
}

static void let_go(conn *c)
{
    request *r = c->r;

    if (!r)
        return;
    c->r = NULL;
    r->c = NULL;
    r->gone = true;
    if (r->stream)
        stream_client_gone(r->stream);
    if (c->unrouted) { /* no handler has it, so no answer will come */
        c->unrouted = false;
        request_unref(r);
    }
    if (!r->body_over)
        request_body_end(r, err_new(ERR_CANCELLED, "the client closed the connection"));
    request_gone(r);
    request_unref(r);
}

void conn_close(conn *c)
{
    if (c->closed)
        return;
    c->closed = true;
    c->state = CONN_CLOSING;
    deadline_clear(c);
    inbound_free(c);
    let_go(c);
    sock_close(c->sock);
}

/* All that is unsent still goes out; then our side is closed, and the client has a moment for his. */
static void close_gently(conn *c)
{
    c->state = CONN_CLOSING;
    inbound_free(c);
    buf_done(&c->ahead);
    if (c->tls)
        tls_session_bye(c->tls);
    sock_shutdown(c->sock);
    deadline_set(c, LINGER_MS);
    if (c->eof)
        conn_close(c);
    else
        reading_adjust(c);
}

void conn_refuse(conn *c, int status, const char *text)
{
    reply_plain_error(c, status, text);
    close_gently(c);
}

static void refuse_status(conn *c, int status)
{
    conn_refuse(c, status, status_text(status));
}

/* ---- the next request ---- */

static void on_pump(void *arg)
{
    pump(arg);
}

static void next_request(conn *c)
{
    inbound_free(c);
    if (c->last || c->eof || c->server->closing) {
        close_gently(c);
        return;
    }
    c->state = CONN_IDLE;
    c->drained = 0;
    deadline_idle(c);
    if (c->ahead.len)
        loop_defer(on_pump, c);
    reading_adjust(c);
}

void conn_answered(conn *c)
{
    request *r = take(c->r);
    bool unread = !c->body_done, was_asked_for = r->head.expects_continue && !r->sink && !r->body.len;

    r->c = NULL;
    request_unref(r);
    if (!unread) {
        next_request(c);
    } else if (was_asked_for) { /* the client still waits for 100 Continue: it will not send the body */
        c->last = true;
        next_request(c);
    } else {
        c->state = CONN_DRAIN;
        deadline_set(c, HTTP_JSON_IDLE_MS);
        loop_defer(on_pump, c);
        reading_adjust(c);
    }
}

void conn_hijacked(conn *c)
{
    c->state = CONN_HIJACKED;
    inbound_free(c);
    deadline_clear(c);
    loop_defer(on_pump, c);
}

void conn_read_body(conn *c)
{
    if (c->r->head.expects_continue && !c->body_done)
        reply_continue(c);
    if (!c->body_done)
        deadline_set(c, HTTP_STREAM_IDLE_MS);
    loop_defer(on_pump, c);
}

void conn_body_flow(conn *c)
{
    loop_defer(on_pump, c);
}

/* ---- bodies ---- */

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    conn *c = p->data;

    if (c->state == CONN_BODY)
        buf_add(&c->r->body, at, n);
    else if (c->state == CONN_BUSY && c->r)
        request_body_in(c->r, at, n);
    else if (c->state == CONN_DRAIN)
        c->drained += (uint32_t)n;
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    ((conn *)p->data)->body_done = true;
    return 0;
}

static bool parser_takes(conn *c, const char *p, size_t n)
{
    llhttp_errno_t result = llhttp_execute(&c->in->parser, p, n);

    return result == HPE_OK || (result == HPE_PAUSED_UPGRADE && c->body_done);
}

static void body_complete(conn *c)
{
    deadline_clear(c);
    if (c->state == CONN_BODY) {
        c->state = CONN_BUSY;
        c->unrouted = false;
        c->r->body_over = true;
        middleware_route(c->r);
    } else if (c->state == CONN_BUSY) {
        request_body_end(c->r, NULL);
    } else {
        next_request(c);
    }
}

static void body_broken(conn *c, int status)
{
    if (c->state == CONN_BUSY && c->r)
        request_body_end(c->r, err_new(ERR_INVALID, "the request body is not framed correctly"));
    if (c->state != CONN_BODY || !c->r) {
        c->last = true;
        if (c->state == CONN_DRAIN || !c->r)
            close_gently(c);
        c->body_done = true;
        return;
    }
    let_go(c);
    refuse_status(c, status);
}

/* Bytes of the current message's body; how many were used. */
static size_t body_feed(conn *c, const char *p, size_t n)
{
    inbound *in = c->in;
    size_t used = n;
    int status = 0;

    if (in->fields.chunked)
        status = chunk_gate_feed(&in->chunks, p, n, &used);
    else if (in->fields.length < n)
        used = (size_t)in->fields.length;
    if (!in->fields.chunked)
        in->fields.length -= used;
    if (status > 1 || !parser_takes(c, p, used)) {
        body_broken(c, status > 1 ? status : 400);
        return n;
    }
    if (c->state == CONN_BODY && c->r->body.len > HTTP_JSON_BODY_MAX) {
        let_go(c);
        refuse_status(c, 413);
        return n;
    }
    if (c->state == CONN_DRAIN && c->drained > DRAIN_MAX) {
        close_gently(c);
        return n;
    }
    if (c->body_done)
        body_complete(c);
    else if (c->state == CONN_BODY)
        deadline_set(c, HTTP_JSON_IDLE_MS);
    else if (c->state == CONN_BUSY)
        deadline_set(c, HTTP_STREAM_IDLE_MS);
    return used;
}

/* ---- heads ---- */

static const llhttp_settings_t *parser_settings(void)
{
    static llhttp_settings_t settings;

    if (!settings.on_body) {
        llhttp_settings_init(&settings);
        settings.on_body = on_body;
        settings.on_message_complete = on_message_complete;
    }
    return &settings;
}

static bool method_find(const http_head *h, http_method *ret)
{
    for (http_method m = GET; m < METHOD_COUNT; m++) {
        if (strlen(method_name(m)) == h->method_len && memcmp(method_name(m), h->method, h->method_len) == 0) {
            *ret = m;
            return true;
        }
    }
    return false;
}

/* The head's text and fields become the request's. */
static int request_take_head(conn *c, request *r)
{
    inbound *in = c->in;
    size_t len = in->head.len;
    int status;

    c->server->heads_bytes -= len;
    r->head_text = buf_take(&in->head);
    status = head_check(&in->fields, r->head_text, len);
    r->head = in->fields;
    in->fields.fields = NULL;
    if (status)
        return status;
    if (!method_find(&r->head, &r->method))
        return 404;
    llhttp_init(&in->parser, HTTP_REQUEST, parser_settings());
    in->parser.data = c;
    if (!parser_takes(c, r->head_text, len))
        return 400;
    return target_parse(&r->target, r->head.uri, r->head.uri_len, r->arena);
}

static void head_complete(conn *c)
{
    request *r = request_new(c);
    int status;

    c->body_done = false;
    c->r = r;
    deadline_clear(c);
    status = request_take_head(c, r);
    c->last = !r->head.keep_alive || status;
    if (!status && !c->is_unix && !c->tls && request_header(r, "Origin"))
        status = 403; /* a browser's page, not a client of ours */
    if (status) {
        c->r = NULL;
        r->c = NULL;
        request_unref(r);
        refuse_status(c, status);
        return;
    }
    c->state = CONN_BUSY;
    r->refs++; /* the answer's, given up when it is complete */
    if (c->body_done)
        r->body_over = true;
    if (!middleware_find(r))
        return;
    if (c->body_done || r->match.route->flags & BODY_STREAM) {
        middleware_route(r);
    } else if (r->head.has_length && r->head.length > HTTP_JSON_BODY_MAX) {
        c->unrouted = true;
        let_go(c);
        refuse_status(c, 413);
    } else {
        c->state = CONN_BODY;
        c->unrouted = true;
        if (r->head.expects_continue)
            reply_continue(c);
        deadline_set(c, HTTP_JSON_IDLE_MS);
    }
}

static void drop_oldest_head(http_server *s)
{
    conn *oldest = NULL;

    for (conn *c = s->conns; c; c = c->next)
        if (c->state == CONN_HEAD && !c->closed && (!oldest || c->deadline_ms < oldest->deadline_ms))
            oldest = c;
    if (oldest)
        conn_close(oldest);
}

static size_t head_feed(conn *c, const char *p, size_t n)
{
    inbound *in = c->in;
    size_t used = 0;
    int status = head_scan_feed(&in->scan, p, n, &used);

    if (status > 1) {
        bool is_http2 = in->head.len + n >= 14 && !in->head.len && memcmp(p, "PRI * HTTP/2.0", 14) == 0;

        c->last = true;
        refuse_status(c, is_http2 ? 505 : status);
        return n;
    }
    buf_add(&in->head, p, used);
    c->server->heads_bytes += used;
    if (status == 1)
        head_complete(c);
    else if (c->server->heads_bytes > HTTP_HEADS_TOTAL_MAX)
        drop_oldest_head(c->server);
    return used;
}

static size_t head_begin(conn *c, const char *p, size_t n)
{
    size_t skip = 0;

    if (!c->fresh && n >= 2 && p[0] == '\r' && p[1] == '\n') /* one blank line behind an answered request */
        skip = 2;
    c->fresh = false;
    if (skip == n)
        return n;
    c->in = new0(inbound);
    c->state = CONN_HEAD;
    deadline_set(c, HTTP_HEAD_TIMEOUT_MS);
    return skip + head_feed(c, p + skip, n - skip);
}

/* ---- the machine ---- */

static bool reads_body(const conn *c)
{
    return c->r && !c->body_done && c->r->sink && !c->r->body_paused;
}

/* Whatever the state can use of p; 0 when it must wait. */
static size_t consume(conn *c, const char *p, size_t n)
{
    switch (c->state) {
    case CONN_IDLE:
        return conn_unsent(c) < HTTP_UNSENT_MAX ? head_begin(c, p, n) : 0;
    case CONN_HEAD:
        return head_feed(c, p, n);
    case CONN_BODY:
    case CONN_DRAIN:
        return body_feed(c, p, n);
    case CONN_BUSY:
        return reads_body(c) ? body_feed(c, p, n) : 0;
    case CONN_HIJACKED:
        if (!c->r || !c->r->stream || c->r->body_paused)
            return 0;
        c->r->stream->on_data(c->r->stream->arg, p, n);
        return n;
    case CONN_CLOSING:
        return n;
    }
    abort();
}

static size_t consume_all(conn *c, const char *p, size_t n)
{
    size_t total = 0, used;

    while (total < n && !c->closed && (used = consume(c, p + total, n - total)))
        total += used;
    return total;
}

static void eof_seen(conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
    case CONN_BODY:
        let_go(c);
        c->last = true;
        refuse_status(c, 400);
        return;
    case CONN_BUSY:
        c->last = true;
        if (!c->body_done && !c->r->body_over)
            request_body_end(c->r, err_new(ERR_CANCELLED, "the request body ended early"));
        c->body_done = true;
        if (c->r && c->r->stream)
            conn_close(c);
        else if (c->r)
            request_gone(c->r);
        return;
    case CONN_HIJACKED:
        if (c->r && c->r->stream)
            c->r->stream->on_eof(c->r->stream->arg);
        return;
    default:
        conn_close(c);
    }
}

static void pump(conn *c)
{
    if (c->closed)
        return;
    while (c->ahead.len) {
        buf input = c->ahead; /* callbacks may append behind our back: they never run while input is read */
        size_t used;

        c->ahead = (buf){0};
        used = consume_all(c, input.data, input.len);
        buf_consume(&input, used);
        if (input.len && !c->closed)
            buf_add(&input, c->ahead.data, c->ahead.len);
        if (input.len && !c->closed) {
            buf_done(&c->ahead);
            c->ahead = input;
        } else {
            buf_done(&input);
        }
        if (!used || c->closed)
            break;
    }
    if (c->closed)
        return;
    if (c->eof && !c->ahead.len && c->state != CONN_CLOSING)
        eof_seen(c);
    if (!c->closed)
        reading_adjust(c);
}

static void plain_in(void *arg, const char *p, size_t n)
{
    conn *c = arg;
    size_t used = 0;

    if (c->closed)
        return;
    if (!c->ahead.len)
        used = consume_all(c, p, n);
    if (c->closed)
        return;
    if (used < n) {
        buf_add(&c->ahead, p + used, n - used);
        pump(c);
    } else {
        reading_adjust(c);
    }
}

static void plain_eof(void *arg)
{
    conn *c = arg;

    if (c->eof || c->closed)
        return;
    c->eof = true;
    c->reading = false;
    sock_read(c->sock, false);
    pump(c);
}

/* ---- the socket ---- */

static void on_sock_data(void *arg, const char *p, size_t n)
{
    conn *c = arg;
    bool was_up;

    if (!c->tls) {
        plain_in(c, p, n);
        return;
    }
    was_up = tls_session_is_up(c->tls);
    if (!tls_session_feed(c->tls, p, n))
        conn_close(c);
    else if (!was_up && !c->closed && tls_session_is_up(c->tls) && c->state == CONN_IDLE)
        deadline_idle(c);
}

static void on_sock_eof(void *arg, err *e)
{
    conn *c = arg;

    if (e || c->state == CONN_CLOSING)
        conn_close(c);
    else
        plain_eof(c);
    err_free(e);
}

static void on_sock_drain(void *arg)
{
    conn *c = arg;

    if (c->closed)
        return;
    if (c->r && c->r->stream)
        stream_drained(c->r->stream);
    else
        pump(c);
}

static void on_sock_closed(void *arg)
{
    conn *c = arg;
    http_server *s = c->server;

    deadline_clear(c);
    inbound_free(c);
    let_go(c);
    buf_done(&c->ahead);
    tls_session_free(c->tls);
    DL_DELETE(s->conns, c);
    free(c);
    conn_gone(s);
}

static const sock_events events = {on_sock_data, on_sock_eof, on_sock_drain, on_sock_closed};
static const tls_events tls_plain = {plain_in, plain_eof};

void conn_new(http_server *s, sock *sk, http_tls *tls)
{
    conn *c = new0(conn);

    c->server = s;
    c->sock = sk;
    c->is_unix = sock_is_unix(sk);
    c->fresh = true; /* nothing answered yet: a blank line in front is refused */
    DL_APPEND(s->conns, c);
    s->n_conns++;
    sock_set(sk, &events, c);
    if (tls) {
        c->tls = tls_session_new(tls, sk, &tls_plain, c);
        deadline_set(c, HTTP_TLS_TIMEOUT_MS);
    } else {
        deadline_idle(c);
    }
    reading_adjust(c);
}

/* ---- the sweep ---- */

static void overdue(conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
    case CONN_BODY:
        let_go(c);
        c->last = true;
        refuse_status(c, 408);
        return;
    case CONN_BUSY: /* a streamed body stands still */
        if (c->r->body_paused || !c->r->sink) {
            deadline_set(c, HTTP_STREAM_IDLE_MS);
            return;
        }
        c->last = true;
        request_body_end(c->r, err_new(ERR_CANCELLED, "the request body did not arrive in time"));
        c->body_done = true;
        deadline_clear(c);
        return;
    default:
        conn_close(c);
    }
}

void conn_sweep(http_server *s, uint64_t now_ms)
{
    conn *c, *next;

    DL_FOREACH_SAFE (s->conns, c, next)
        if (c->deadline_set && !c->closed && c->deadline_ms <= now_ms)
            overdue(c);
}
