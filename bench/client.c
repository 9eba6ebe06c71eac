/* client.c - one connection that carries questions and their answers, in order.
 *
 * The client outlives its wire: a wire is one attempt to be connected, is given up at the first
 * trouble, and frees itself when the loop has closed it.  While bytes are being parsed nothing is
 * written and nothing is freed (busy), so that a batch of answers makes one batch of requests.
 * Loop thread only. */
#include "client.h"
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <llhttp.h>
#include <string.h>

enum { UPLOAD_PIECE = 1 << 20 }; /* of an upload that is handed over at a time */

#define RETRY_NS \
    INT64_C(10000000) /* rest after an attempt that failed: a dead server costs no CPU */

typedef struct wire {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    };
    uv_connect_t connecting;
    uv_write_t writing;
    uv_shutdown_t closing;
    buf sending; /* what the write in flight holds */
    bool open;
    client *owner; /* NULL: given up */
} wire;

typedef struct waiting {
    question q; /* its bytes are sent or queued */
    int64_t since_ns;
} waiting;

struct client {
    uv_loop_t *loop;
    const endpoint *to;
    wire *wire;
    tls *tls;
    upload up;         /* what is left of it */
    bool up_open;      /* it may be sent */
    buf plain, cipher; /* to be encrypted (or sent, without TLS); to be sent */
    llhttp_t parser;
    waiting *ring;
    size_t head, count, room; /* room is a power of two */
    buf body;
    size_t body_length;
    uv_timer_t *retry; /* NULL: none runs */
    int64_t retry_at_ns;
    const char *broken; /* why the wire cannot go on; NULL: it can */
    size_t stale;       /* with last_answer: how many wait that the server has not seen */
    bool busy, doomed, connected, last_answer;
};

/* Losing a wire begins the next one: the three are a circle. */
static void flush(client *c);
static void connect_wire(client *c);

/* ---- the questions in flight ---- */

static void ring_push(client *c, const question *q)
{
    if (c->count == c->room) {
        size_t room = c->room ? c->room * 2 : 4;
        waiting *bigger = xcalloc(room, sizeof *bigger);

        for (size_t i = 0; i < c->count; i++)
            bigger[i] = c->ring[(c->head + i) & (c->room - 1)];
        mem_freep(&c->ring);
        c->ring = bigger;
        c->room = room;
        c->head = 0;
    }
    c->ring[(c->head + c->count++) & (c->room - 1)] =
        (waiting){.q = *q, .since_ns = time_mono_ns()};
}

static waiting *ring_first(client *c)
{
    return c->count ? &c->ring[c->head] : NULL;
}

static question ring_shift(client *c)
{
    question q = c->ring[c->head].q;

    c->head = (c->head + 1) & (c->room - 1);
    c->count--;
    return q;
}

/* ---- the wire's end ---- */

static void on_wire_closed(uv_handle_t *handle)
{
    wire *w = handle->data;

    buf_done(&w->sending);
    mem_freep(&w);
}

/* What was to be sent stays: see lose. */
static void give_up_wire(client *c)
{
    wire *w = take(c->wire);

    if (w) {
        w->owner = NULL;
        uv_close(&w->handle, on_wire_closed);
    }
    tls_free(c->tls);
    c->tls = NULL;
    c->connected = c->last_answer = false;
    c->broken = NULL;
    c->up = (upload){0};
    buf_done(&c->cipher);
    buf_truncate(&c->body, 0);
    c->body_length = 0;
}

static void on_retry_closed(uv_handle_t *handle)
{
    mem_freep(&handle);
}

static void stop_retry(client *c)
{
    uv_timer_t *t = take(c->retry);

    if (t) {
        t->data = NULL;
        uv_close((uv_handle_t *)t, on_retry_closed);
    }
}

static void destroy(client *c)
{
    give_up_wire(c);
    stop_retry(c);
    buf_done(&c->plain);
    buf_done(&c->body);
    mem_freep(&c->ring);
    mem_freep(&c);
}

/* Everything that waited on the wire is answered with the reason.  Whoever asks again meanwhile
 * asks a new wire, and so does what was asked after the last answer of a wire that the server
 * closes. */
static void lose(client *c, const char *reason)
{
    size_t n = c->last_answer ? c->stale : c->count;
    bool was_busy = c->busy;

    if (!c->connected)
        c->retry_at_ns = time_mono_ns() + RETRY_NS;
    if (!c->last_answer)
        buf_done(&c->plain);
    give_up_wire(c);
    c->busy = true;
    for (; n && !c->doomed; n--) {
        question q = ring_shift(c);

        q.done(q.arg, &(answer){.error = reason, .body = ""});
    }
    c->busy = was_busy;
    if (c->busy)
        return;
    if (c->doomed)
        destroy(c);
    else
        flush(c);
}

/* ---- parsing ---- */

static int on_headers_complete(llhttp_t *parser)
{
    client *c = parser->data;
    waiting *w = ring_first(c);

    if (!w)
        return -1; /* an answer that nobody asked for */
    if (parser->status_code >= 200)
        c->up_open = true;
    if (w->q.head && parser->status_code >= 200)
        w->q.head(w->q.arg, parser->status_code);
    return 0;
}

static int on_body(llhttp_t *parser, const char *p, size_t n)
{
    client *c = parser->data;
    waiting *w = ring_first(c);

    if (!w || c->doomed)
        return HPE_USER;
    c->body_length += n;
    if (w->q.keep_body && c->body.len + n <= CLIENT_BODY_MAX)
        buf_add(&c->body, p, n);
    if (w->q.piece)
        w->q.piece(w->q.arg, p, n);
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    client *c = parser->data;
    auto_buf body = c->body;
    answer a = {.status = parser->status_code, .length = c->body_length};
    question q;

    if (parser->status_code < 200)
        return 0; /* 100 Continue and its like precede the answer */
    if (c->doomed || !c->count)
        return HPE_PAUSED;
    c->body = (buf){0};
    c->body_length = 0;
    a.body = body.data ? body.data : "";
    q = ring_shift(c);
    if (!llhttp_should_keep_alive(parser)) {
        c->last_answer = true;
        c->stale = c->count;
        buf_done(&c->plain);
    }
    q.done(q.arg, &a);
    return c->doomed || c->last_answer ? HPE_PAUSED : 0;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* False: no more of this wire is wanted. */
static bool feed(void *arg, const char *p, size_t n)
{
    client *c = arg;
    llhttp_errno_t code = llhttp_execute(&c->parser, p, n);

    if (code != HPE_OK && code != HPE_PAUSED)
        c->broken = "the answer is not HTTP";
    return !c->doomed && !c->last_answer && !c->broken;
}

/* The other side has closed: that ends an answer without a length, and loses all that wait. */
static void take_eof(client *c, const char *reason)
{
    if (c->connected && !c->doomed && c->count)
        llhttp_finish(&c->parser);
    lose(c, reason);
}

/* ---- reading and writing ---- */

/* Whatever came with the answers is done: send, close, or free. */
static void settle(client *c)
{
    c->busy = false;
    if (c->doomed)
        destroy(c);
    else if (c->last_answer || c->broken)
        lose(c, str_or(c->broken, "closed by the server"));
    else
        flush(c);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *b)
{
    static char bytes[256 << 10]; /* parsed before the next read begins */

    (void)handle;
    (void)wanted;
    *b = uv_buf_init(bytes, sizeof bytes);
}

/* Decrypts and encrypts as far as it goes; false when the session has ended (and the wire with it).
 */
static bool step_tls(client *c)
{
    bool closed = false;
    auto_err *e = tls_step(c->tls, &c->plain, feed, c, &closed);

    if (!e && !closed)
        return true;
    take_eof(c, e ? "TLS failed" : "closed by the server");
    return false;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    wire *w = stream->data;
    client *c = w->owner;

    if (!c || !n)
        return;
    c->busy = true;
    if (n < 0) {
        take_eof(c, n == UV_EOF ? "closed by the server" : uv_strerror((int)n));
    } else if (c->tls) {
        tls_feed(c->tls, b->base, (size_t)n);
        step_tls(c);
    } else {
        feed(c, b->base, (size_t)n);
    }
    settle(c);
}

static void on_written(uv_write_t *req, int status)
{
    wire *w = req->data;

    buf_done(&w->sending);
    if (status >= 0 && w->owner)
        flush(w->owner); /* a failed write is told by the read, too */
}

/* Hand over what the kernel takes at once, and leave the rest to the loop. */
static void push(wire *w, buf *out)
{
    uv_buf_t piece = uv_buf_init(out->data, (unsigned)out->len);
    int n;

    if (!out->len || w->sending.data)
        return;
    n = uv_try_write(&w->stream, &piece, 1);
    if (n > 0)
        buf_consume(out, (size_t)n);
    if (!out->len)
        return;
    w->sending = *out;
    *out = (buf){0};
    piece = uv_buf_init(w->sending.data, (unsigned)w->sending.len);
    w->writing.data = w;
    if (uv_write(&w->writing, &w->stream, &piece, 1, on_written))
        buf_done(&w->sending);
}

/* The next piece of the upload; false: nothing is to be sent now. */
static bool refill(client *c)
{
    size_t n = c->up.n < UPLOAD_PIECE ? c->up.n : UPLOAD_PIECE;

    if (!c->up.bytes || !c->up_open || c->plain.len)
        return false;
    buf_add(&c->plain, c->up.bytes, n);
    c->up.bytes += n;
    c->up.n -= n;
    return n;
}

/* A hijacked upload ends with its direction; what is still being written goes out first. */
static void end_upload(client *c)
{
    if (!c->up.bytes || c->up.n || !c->up_open)
        return;
    if (c->up.hijacked)
        uv_shutdown(&c->wire->closing, &c->wire->stream, NULL);
    c->up = (upload){0};
}

static void push_plain(client *c)
{
    do
        push(c->wire, &c->plain);
    while (!c->wire->sending.data && refill(c));
    if (!c->plain.len)
        end_upload(c);
}

static void flush(client *c)
{
    if (c->busy)
        return;
    if (!c->wire) {
        if (c->count)
            connect_wire(c);
        return;
    }
    if (!c->connected)
        return;
    if (!c->tls) {
        push_plain(c);
        return;
    }
    c->busy = true;
    do {
        if (!step_tls(c))
            break;
        push(c->wire, &c->cipher);
    } while (!c->wire->sending.data && refill(c));
    c->busy = false;
    if (c->doomed)
        destroy(c);
    else if (c->last_answer || c->broken)
        lose(c, str_or(c->broken, "closed by the server"));
}

/* ---- connecting ---- */

static void on_retry(uv_timer_t *t)
{
    client *c = t->data;

    if (!c)
        return;
    stop_retry(c);
    if (c->broken)
        lose(c, c->broken);
    else
        flush(c);
}

static void begin_retry(client *c, int64_t wait_ns)
{
    c->retry = new0(uv_timer_t);
    uv_timer_init(c->loop, c->retry);
    c->retry->data = c;
    uv_timer_start(c->retry, on_retry, (uint64_t)(wait_ns / 1000000 + 1), 0);
}

static void on_connected(uv_connect_t *req, int status)
{
    wire *w = req->data;
    client *c = w->owner;

    if (!c)
        return;
    if (status < 0) {
        lose(c, uv_strerror(status));
        return;
    }
    w->open = c->connected = true;
    llhttp_init(&c->parser, HTTP_RESPONSE, &settings);
    c->parser.data = c;
    uv_read_start(&w->stream, on_alloc, on_read);
    flush(c);
}

static int start_connecting(client *c, wire *w)
{
    int code;

    w->handle.data = w;
    w->connecting.data = w;
    if (c->to->path) {
        uv_pipe_init(c->loop, &w->pipe, 0);
        uv_pipe_connect(&w->connecting, &w->pipe, c->to->path, on_connected);
        return 0;
    }
    uv_tcp_init(c->loop, &w->tcp);
    code = uv_tcp_connect(&w->connecting, &w->tcp, (const struct sockaddr *)&c->to->address,
                          on_connected);
    if (!code)
        uv_tcp_nodelay(&w->tcp, 1);
    return code;
}

/* The bytes of what waits are in c->plain: they were put there after the last wire was given up. */
static void connect_wire(client *c)
{
    int64_t wait_ns = c->retry_at_ns - time_mono_ns();
    int code;

    if (c->retry)
        return;
    if (wait_ns > 0) {
        begin_retry(c, wait_ns);
        return;
    }
    c->wire = new0(wire);
    c->wire->owner = c;
    code = start_connecting(c, c->wire);
    if (c->to->tls && !code) {
        auto_err *e = tls_new(c->to->tls, c->to->host, &c->cipher, &c->tls);

        code = e ? UV_EPROTO : 0;
    }
    if (code) {
        give_up_wire(c);
        c->broken = uv_strerror(code);
        begin_retry(c, RETRY_NS); /* a question is never answered while it is being asked */
    }
}

/* ---- what is offered ---- */

client *client_new(uv_loop_t *loop, const endpoint *to)
{
    client *c = new0(client);

    c->loop = loop;
    c->to = to;
    return c;
}

void client_free(client *c)
{
    if (!c)
        return;
    c->doomed = true;
    if (!c->busy)
        destroy(c);
}

void client_ask(client *c, const question *q)
{
    ring_push(c, q);
    buf_add(&c->plain, q->bytes, q->n);
    c->up = q->up;
    c->up_open = !q->up.hijacked;
    flush(c);
}

void client_expire(client *c, int64_t now_ns, int64_t timeout_ns)
{
    waiting *w = ring_first(c);

    if (w && !w->q.endless && now_ns - w->since_ns > timeout_ns)
        lose(c, "timed out");
}

void client_drop(client *c, const char *reason)
{
    lose(c, reason);
}

bool client_is_connected(const client *c)
{
    return c->connected;
}
