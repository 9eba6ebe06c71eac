/* conn.c - one connection: bytes to requests, answers to bytes, plain or TLS alike.
 *
 * One request at a time has the connection; what comes behind it waits in c->ahead, at most a
 * socket's read beyond AHEAD_MAX.  Reading goes on while a handler works, so that a hang-up is
 * seen. Between requests a connection holds nothing but this struct.  Loop thread only. */
#include "conn.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <utlist.h>

enum {
    AHEAD_MAX = 64 << 10,
    HANGUP_LOOK_MS =
        500, /* how often a half-closed connection is asked whether it is wholly closed */
};

static void pump(conn *c);

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

/* The request loses its client; whoever works on it hears so. */
static void let_go(conn *c)
{
    request *r = take(c->r);

    if (!r)
        return;
    r->c = NULL;
    if (!r->body_over) /* before the stream's stop, which may free the body's reader */
        request_body_end(r, err_new(ERR_CANCELLED, "the client closed the connection"));
    if (r->stream)
        stream_client_gone(r->stream);
    if (c->unrouted) { /* no handler has it, so no answer will come */
        c->unrouted = false;
        request_unref(r);
    }
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
    conn_inbound_free(c);
    let_go(c);
    sock_close(c->sock);
}

/* All is sent: a client that has closed, too, is let go; another one has a moment to do so. */
static void closing_check(conn *c)
{
    size_t unsent = conn_unsent(c);

    if (!unsent && c->eof)
        conn_close(c);
    else
        deadline_set(c, unsent ? c->server->limits.stream_idle_ms : c->server->limits.linger_ms);
}

/* What is unsent still goes out; then our side is closed. */
void conn_close_gently(conn *c)
{
    c->state = CONN_CLOSING;
    conn_inbound_free(c);
    buf_done(&c->ahead);
    if (c->tls)
        tls_session_bye(c->tls);
    sock_shutdown(c->sock);
    c->unsent_seen = conn_unsent(c);
    closing_check(c);
    reading_adjust(c);
}

/* Answers without a handler, then closes. */
void conn_refuse(conn *c, int status)
{
    let_go(c);
    c->last = true;
    log_debug("request refused", "peer", sock_peer(c->sock), "status", status);
    reply_plain_error(c, status, status == 404 ? "page not found" : status_text(status));
    conn_close_gently(c);
}

/* ---- the next request ---- */

static void on_pump(void *arg)
{
    pump(arg);
}

void conn_next(conn *c)
{
    conn_inbound_free(c);
    if (c->last || c->server->closing) {
        conn_close_gently(c);
        return;
    }
    c->state = CONN_IDLE;
    c->drained = 0;
    c->blank = 0;
    deadline_idle(c);
    if (c->ahead.len || c->eof)
        loop_defer(on_pump, c);
    reading_adjust(c);
}

void conn_answered(conn *c)
{
    request *r = take(c->r);
    bool awaits_continue = r->head.expects_continue && !r->sink && !r->body.len;

    r->c = NULL;
    r->sink_ended = true;
    request_unref(r);
    if (c->body_done) {
        conn_next(c);
    } else if (awaits_continue) { /* the client will not send its body, or we could not tell it from
                                     a request */
        c->last = true;
        conn_next(c);
    } else {
        c->state = CONN_DRAIN;
        deadline_set(c, c->server->limits.json_idle_ms);
        loop_defer(on_pump, c);
        reading_adjust(c);
    }
}

void conn_hijacked(conn *c)
{
    c->state = CONN_HIJACKED;
    conn_inbound_free(c);
    deadline_clear(c);
    loop_defer(on_pump, c);
}

void conn_read_body(conn *c)
{
    if (!c->body_done) {
        conn_say_continue(c);
        deadline_set(c, c->server->limits.stream_idle_ms);
    }
    loop_defer(on_pump, c);
}

void conn_body_flow(conn *c)
{
    loop_defer(on_pump, c);
}

/* ---- the machine ---- */

static bool reads_body(const conn *c)
{
    return !c->body_done && c->r->sink && !c->r->body_paused;
}

static size_t raw_feed(conn *c, const char *p, size_t n)
{
    if (!c->r->stream || c->r->body_paused)
        return 0;
    c->r->stream->on_data(c->r->stream->arg, p, n);
    return n;
}

/* Whatever the state can use of p; 0 when it must wait. */
static size_t consume(conn *c, const char *p, size_t n)
{
    switch (c->state) {
    case CONN_IDLE:
        return conn_unsent(c) < HTTP_UNSENT_MAX ? conn_head_begin(c, p, n) : 0;
    case CONN_HEAD:
        return conn_head_feed(c, p, n);
    case CONN_BODY:
    case CONN_DRAIN:
        return conn_body_feed(c, p, n);
    case CONN_BUSY:
        return reads_body(c) ? conn_body_feed(c, p, n) : 0;
    case CONN_HIJACKED:
        return raw_feed(c, p, n);
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

/* The client's side is closed while an answer is due.  Behind a body that is what some clients do,
 * and they still read; whoever sent no body and hears a stream has hung up. */
static void half_closed(conn *c)
{
    request *r = c->r;
    bool had_body = r->head.chunked || r->head.length;

    c->last = true;
    if (!c->body_done)
        conn_body_broken(c, ERR_INVALID, "unexpected EOF: the request body is incomplete");
    deadline_set(c, HANGUP_LOOK_MS);
    if (had_body && r->match.route->flags & BODY_STREAM)
        return;
    if (r->stream)
        conn_close(c);
    else
        request_gone(r);
}

static void eof_seen(conn *c)
{
    if (c->eof_told)
        return;
    c->eof_told = true;
    switch (c->state) {
    case CONN_HEAD:
    case CONN_BODY:
        conn_refuse(c, 400);
        return;
    case CONN_BUSY:
        if (peer_hung_up(c))
            conn_close(c);
        else
            half_closed(c);
        return;
    case CONN_HIJACKED:
        if (c->r->stream)
            c->r->stream->on_eof(c->r->stream->arg);
        if (peer_hung_up(c))
            conn_close(c);
        else if (!c->closed)
            deadline_set(c, HANGUP_LOOK_MS);
        return;
    case CONN_IDLE:
    case CONN_DRAIN:
        conn_close_gently(c);
        return;
    case CONN_CLOSING:
        closing_check(c);
    }
}

/* What is consumed is moved out first: the connection may drop its own buffers on the way. */
static size_t consume_ahead(conn *c)
{
    buf input = c->ahead;
    size_t used;

    c->ahead = (buf){0};
    used = consume_all(c, input.data, input.len);
    if (c->state == CONN_CLOSING || used == input.len) {
        buf_done(&input);
    } else {
        buf_consume(&input, used);
        c->ahead = input;
    }
    return used;
}

static void pump(conn *c)
{
    while (!c->closed && c->ahead.len && consume_ahead(c))
        continue;
    if (!c->closed && c->eof && !c->ahead.len)
        eof_seen(c);
    if (!c->closed)
        reading_adjust(c);
}

static void on_plain(void *arg, const char *p, size_t n)
{
    conn *c = arg;
    size_t used = c->ahead.len ? 0 : consume_all(c, p, n);

    if (c->closed)
        return;
    if (used < n && c->state != CONN_CLOSING)
        buf_add(&c->ahead, p + used, n - used);
    reading_adjust(c);
}

static void on_plain_eof(void *arg)
{
    conn *c = arg;

    if (c->closed || c->eof)
        return;
    c->eof = true;
    reading_adjust(c);
    pump(c);
    if (!c->eof_told && !c->closed && c->state != CONN_CLOSING) /* bytes wait for whoever is busy */
        deadline_set(c, HANGUP_LOOK_MS);
}

/* ---- the socket ---- */

static void on_sock_data(void *arg, const char *p, size_t n)
{
    conn *c = arg;
    bool was_up;

    if (c->closed)
        return;
    if (!c->tls) {
        on_plain(c, p, n);
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
    if (e)
        conn_close(arg);
    else
        on_plain_eof(arg);
    err_free(e);
}

static void on_sock_drain(void *arg)
{
    conn *c = arg;

    if (c->closed)
        return;
    if (c->state == CONN_CLOSING)
        closing_check(c);
    else if (c->r && c->r->stream)
        stream_drained(c->r->stream);
    else
        pump(c);
}

static void on_sock_closed(void *arg)
{
    conn *c = arg;
    http_server *s = c->server;

    conn_close(c);
    conn_inbound_free(c);
    buf_done(&c->ahead);
    tls_session_free(c->tls);
    DL_DELETE(s->conns, c);
    free(c);
    conn_gone(s);
}

static const sock_events events = {on_sock_data, on_sock_eof, on_sock_drain, on_sock_closed};
static const tls_events tls_plain = {on_plain, on_plain_eof};

void conn_new(http_server *s, sock *sk, http_tls *tls)
{
    conn *c = new0(conn);

    c->server = s;
    c->sock = sk;
    c->is_unix = sock_is_unix(sk);
    c->blank = BLANK_OVER; /* nothing is answered yet: a blank line in front is refused */
    DL_APPEND(s->conns, c);
    s->n_conns++;
    sock_set(sk, &events, c);
    deadline_idle(c);
    if (tls) {
        c->tls = tls_session_new(tls, sk, &tls_plain, c);
        deadline_set(c, s->limits.tls_ms);
    }
    reading_adjust(c);
}

/* ---- overdue ---- */

static void busy_overdue(conn *c)
{
    if (c->eof) { /* half-closed behind its request: still there? */
        if (peer_hung_up(c))
            conn_close(c);
        else
            deadline_set(c, HANGUP_LOOK_MS);
    } else if (c->state == CONN_BUSY && reads_body(c)) {
        conn_body_broken(c, ERR_TIMEOUT, "the request body did not arrive in time");
    } else { /* it is we who keep it waiting */
        deadline_set(c, c->server->limits.stream_idle_ms);
    }
}

void conn_overdue(conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
    case CONN_BODY:
        conn_refuse(c, ERR_TIMEOUT);
        return;
    case CONN_BUSY:
    case CONN_HIJACKED:
        busy_overdue(c);
        return;
    case CONN_CLOSING:
        if (conn_unsent(c) < c->unsent_seen) { /* slow, not stalled */
            c->unsent_seen = conn_unsent(c);
            closing_check(c);
            return;
        }
        conn_close(c);
        return;
    case CONN_IDLE:
    case CONN_DRAIN:
        conn_close(c);
    }
}
