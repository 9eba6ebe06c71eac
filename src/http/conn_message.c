/* conn_message.c - a connection's bytes become requests: the head, then the body for whoever reads
 * it.
 *
 * Each function uses what it can of the bytes it is given and says how many.  Loop thread only. */
#include "conn.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <utlist.h>

enum { DRAIN_MAX = 256 << 10 }; /* of an unread body after its answer */

/* While the parser runs it stays: conn_body_feed looks after it. */
void conn_inbound_free(conn *c)
{
    if (!c->in || c->feeding)
        return;
    c->server->heads_bytes -= c->in->head.len;
    inbound_done(c->in);
    free(take(c->in));
}

/* ---- bodies ---- */

void conn_say_continue(conn *c)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (c->r->head.expects_continue)
        conn_write(c, line, sizeof(line) - 1, NULL, 0);
}

static void on_body(void *arg, const char *p, size_t n)
{
    conn *c = arg;

    if (c->state == CONN_BODY)
        buf_add(&c->r->body, p, n);
    else if (c->state == CONN_BUSY && c->r)
        request_body_in(c->r, p, n);
    else if (c->state == CONN_DRAIN)
        c->drained += (uint32_t)n;
}

static void body_complete(conn *c)
{
    request *r = c->r;

    c->body_done = true;
    deadline_clear(c);
    if (c->state == CONN_BODY) {
        c->state = CONN_BUSY;
        c->unrouted = false;
        r->body_over = true;
        middleware_route(r);
    } else if (c->state == CONN_BUSY) {
        request_body_end(r, NULL);
    } else if (c->state == CONN_DRAIN) {
        conn_next(c);
    }
}

/* Nothing behind this point can be told from the body: the connection ends with the answer. */
void conn_body_broken(conn *c, err_class kind, const char *why)
{
    c->last = true;
    if (c->state == CONN_BODY) {
        conn_refuse(c, (int)kind);
    } else if (c->state == CONN_BUSY) {
        c->body_done = true;
        deadline_clear(c);
        request_body_end(c->r, err_new(kind, "%s", why));
    } else if (c->state == CONN_DRAIN) {
        conn_close_gently(c);
    }
}

/* Bytes of the current message's body; how many were used. */
size_t conn_body_feed(conn *c, const char *p, size_t n)
{
    const http_limits *limits = &c->server->limits;
    size_t used = 0;
    int status;

    c->feeding = true;
    status = inbound_body_feed(c->in, p, n, &used);
    c->feeding = false;
    if (c->state == CONN_HIJACKED ||
        c->state == CONN_CLOSING) { /* by the reader of these very bytes */
        conn_inbound_free(c);
        return n;
    }
    if (status > 1) {
        conn_body_broken(c, (err_class)status, "the request body is not framed correctly");
        return n;
    }
    if (c->state == CONN_BODY && c->r->body.len > HTTP_JSON_BODY_MAX) {
        conn_refuse(c, ERR_TOO_LARGE);
        return n;
    }
    if (c->state == CONN_DRAIN && c->drained > DRAIN_MAX) {
        conn_close_gently(c);
        return n;
    }
    if (status == 1)
        body_complete(c);
    else if (c->state == CONN_BODY)
        deadline_set(c, limits->json_idle_ms);
    else if (c->state == CONN_BUSY)
        deadline_set(c, limits->stream_idle_ms);
    return used;
}

/* ---- heads ---- */

/* The head's bytes become the request's; 0 or the status to refuse with. */
static int head_understand(conn *c, request *r)
{
    int status;

    c->server->heads_bytes -= c->in->head.len;
    status = inbound_head_take(c->in, &r->head_text, &r->head, &r->method);
    c->body_done = c->in->done;
    r->body_over = c->body_done;
    if (status)
        return status;
    c->last = !r->head.keep_alive;
    if (!c->is_unix && !c->tls && request_header(r, "Origin"))
        return 403; /* a browser's page, not a client of ours */
    return target_parse(&r->target, r->head.uri, r->head.uri_len, r->arena);
}

static void collect_body(conn *c)
{
    c->state = CONN_BODY;
    c->unrouted = true;
    if (c->r->head.length > HTTP_JSON_BODY_MAX) {
        conn_refuse(c, ERR_TOO_LARGE);
        return;
    }
    conn_say_continue(c);
    deadline_set(c, c->server->limits.json_idle_ms);
}

static void head_complete(conn *c)
{
    request *r = request_new(c);
    int status;

    c->r = r;
    deadline_clear(c);
    status = head_understand(c, r);
    if (status) {
        conn_refuse(c, status);
        return;
    }
    c->state = CONN_BUSY;
    r->refs++; /* the answer's, given up when it is complete */
    if (!middleware_find(r))
        return;
    if (c->body_done || r->match.route->flags & BODY_STREAM)
        middleware_route(r);
    else
        collect_body(c);
}

static void drop_oldest_head(http_server *s)
{
    conn *oldest = NULL, *c;

    DL_FOREACH (s->conns, c)
        if (c->state == CONN_HEAD && (!oldest || c->deadline_ms < oldest->deadline_ms))
            oldest = c;
    if (oldest)
        conn_close(oldest);
}

size_t conn_head_feed(conn *c, const char *p, size_t n)
{
    size_t used = 0, before = c->in->head.len;
    int status = inbound_head_feed(c->in, p, n, &used);

    c->server->heads_bytes += c->in->head.len - before;
    if (status > 1) {
        conn_refuse(c, status);
        return n;
    }
    if (status == 1)
        head_complete(c);
    else if (c->server->heads_bytes > c->server->limits.heads_bytes)
        drop_oldest_head(c->server);
    return used;
}

size_t conn_head_begin(conn *c, const char *p, size_t n)
{
    size_t skipped = 0;
    int status = blank_feed(&c->blank, p, n, &skipped);

    if (status > 1) {
        conn_refuse(c, status);
        return n;
    }
    if (!status)
        return n;
    c->in = xmalloc(sizeof(*c->in));
    inbound_init(c->in, on_body, c);
    c->state = CONN_HEAD;
    deadline_set(c, c->server->limits.head_ms);
    return skipped + conn_head_feed(c, p + skipped, n - skipped);
}
