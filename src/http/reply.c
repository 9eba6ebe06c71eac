/* reply.c - the one way an answer leaves a handler.
 *
 * A reply outlives its connection: when the client hangs up, every later call does nothing, so a
 * backend may finish minutes later without asking first.  A full answer leaves in one write.
 * Loop thread only. */
#include "conn.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SMALL_CHUNK = 16 << 10 };

const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Request Entity Too Large"},
        {417, "Expectation Failed"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Unknown";
}

/* The header lines of every answer, made once per second because of Date. */
static const buf *common_of(http_server *s)
{
    uint64_t now_s = loop_now_ms() / 1000;
    char date[64];
    time_t now;
    struct tm tm;

    if (now_s != s->common_s || !s->common.len) {
        now = time(NULL);
        gmtime_r(&now, &tm);
        strftime(date, sizeof(date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        buf_truncate(&s->common, 0);
        buf_str(&s->common, s->own_lines);
        buf_str(&s->common, date);
        s->common_s = now_s;
    }
    return &s->common;
}

static void head_start(buf *out, http_server *s, int status, bool last, bool http_10)
{
    char line[] = "HTTP/1.1 xxx ";
    const buf *common = common_of(s);

    line[9] = (char)('0' + status / 100 % 10);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    buf_reserve(out, common->len + 512);
    buf_add(out, line, sizeof(line) - 1);
    buf_str(out, status_text(status));
    buf_add(out, "\r\n", 2);
    buf_add(out, common->data, common->len);
    if (last)
        buf_str(out, "Connection: close\r\n");
    else if (http_10)
        buf_str(out, "Connection: keep-alive\r\n");
}

static void number_str(buf *out, size_t n)
{
    char digits[24];
    size_t i = sizeof(digits);

    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    buf_add(out, digits + i, sizeof(digits) - i);
}

static void head_of(request *r, int status, const char *content_type, buf *out)
{
    head_start(out, r->server, status, r->c->last, r->head.http_10);
    if (content_type) {
        buf_str(out, "Content-Type: ");
        buf_str(out, content_type);
        buf_str(out, "\r\n");
    }
    if (r->extra.len)
        buf_add(out, r->extra.data, r->extra.len);
}

void reply_header(request *r, const char *name, const char *value)
{
    size_t n_name = strlen(name), n_value = strlen(value);
    char *to;

    buf_reserve(&r->extra, n_name + n_value + 4);
    to = mempcpy(r->extra.data + r->extra.len, name, n_name);
    to = mempcpy(to, ": ", 2);
    for (; *value; value++) /* no value can begin a line of its own */
        *to++ = (unsigned char)*value < ' ' ? ' ' : *value;
    memcpy(to, "\r\n", 3);
    r->extra.len += n_name + n_value + 4;
}

/* The first answer of a request counts; a second one is a bug of the handler. */
static bool may_answer(request *r)
{
    assert(!r->answered);
    r->answered = true;
    if (r->c)
        return true;
    return false;
}

void reply_bytes(request *r, int status, const char *content_type, const void *p, size_t n)
{
    bool bodyless = status == 204 || status == 304;
    auto_buf head = {0};
    conn *c = r->c;

    if (!may_answer(r)) {
        r->sink_ended = true;
        request_unref(r);
        return;
    }
    head_of(r, status, bodyless ? NULL : content_type, &head);
    if (!bodyless) {
        buf_str(&head, "Content-Length: ");
        number_str(&head, n);
        buf_str(&head, "\r\n");
    }
    buf_str(&head, "\r\n");
    if (bodyless || r->method == HEAD)
        n = 0;
    conn_write(c, head.data, head.len, p, n);
    conn_answered(c);
    request_unref(r);
}

void reply_json(request *r, int status, const json_type *type, const void *object)
{
    auto_buf text = {0};

    json_encode(type, object, r->version, &text);
    buf_char(&text, '\n');
    reply_bytes(r, status, "application/json", text.data, text.len);
}

void reply_empty(request *r, int status)
{
    reply_bytes(r, status, NULL, "", 0);
}

static void message_json(const char *text, buf *out)
{
    buf_str(out, "{\"message\":");
    json_quote(text, out);
    buf_str(out, "}\n");
}

void reply_error(request *r, err *e)
{
    int status = (int)err_kind(e);
    auto_buf text = {0};

    if (status >= 500)
        log_error("request failed", "method", method_name(r->method), "path", r->target.path,
                  "status", status, "error", err_message(e));
    else
        log_debug("request refused", "method", method_name(r->method), "path", r->target.path,
                  "status", status, "error", err_message(e));
    message_json(err_message(e), &text);
    err_free(e);
    reply_bytes(r, status, "application/json", text.data, text.len);
}

void reply_plain_error(conn *c, int status, const char *text)
{
    auto_buf out = {0}, body = {0};

    message_json(text, &body);
    head_start(&out, c->server, status, true, false);
    buf_printf(&out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", body.len,
               body.data);
    conn_write(c, out.data, out.len, NULL, 0);
}

/* ---- streams ---- */

static void on_stopped(void *arg)
{
    stream *s = arg;

    s->ops.stop(s->arg);
    request_unref(s->r);
    free(s);
}

/* stop runs exactly once, from the loop: no callback frees its caller. */
static void stop_soon(stream *s)
{
    if (s->stopped)
        return;
    s->stopped = true;
    s->r->stream = NULL;
    loop_defer(on_stopped, s);
}

static void on_first_pull(void *arg)
{
    stream *s = arg;

    if (!s->stopped && !s->ended)
        s->ops.pull(s->arg, s);
    request_unref(s->r);
}

static stream *stream_new(request *r, const stream_ops *ops, void *arg)
{
    stream *s = new0(stream);

    assert(!r->answered);
    r->answered = true;
    s->r = r; /* the answer's reference passes to the stream */
    s->ops = *ops;
    s->arg = arg;
    r->stream = s;
    return s;
}

/* After its head left; for a client that is gone already the stream only stops. */
static stream *stream_begin(stream *s)
{
    if (!s->r->c) {
        stop_soon(s);
        s->ended = true;
        return s;
    }
    s->r->refs++;
    loop_defer(on_first_pull, s);
    return s;
}

stream *reply_stream(request *r, int status, const char *content_type, const stream_ops *ops,
                     void *arg)
{
    stream *s = stream_new(r, ops, arg);
    auto_buf head = {0};

    s->head_only = r->method == HEAD;
    s->chunked = !r->head.http_10;
    if (r->c) {
        if (!s->chunked)
            r->c->last = true;
        head_of(r, status, content_type, &head);
        buf_str(&head, s->chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
        conn_write(r->c, head.data, head.len, NULL, 0);
    }
    return stream_begin(s);
}

stream *reply_hijack(request *r, const char *content_type, const hijack_ops *ops, void *arg)
{
    stream *s = stream_new(r, &ops->stream, arg);
    auto_buf head = {0};

    s->raw = true;
    s->on_data = ops->on_data;
    s->on_eof = ops->on_eof;
    if (r->c) {
        r->c->last = true;
        if (r->head.upgrade)
            buf_printf(&head,
                       "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: "
                       "Upgrade\r\nUpgrade: tcp\r\n\r\n",
                       content_type);
        else
            buf_printf(&head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n", content_type);
        conn_write(r->c, head.data, head.len, NULL, 0);
        conn_hijacked(r->c);
    }
    return stream_begin(s);
}

static void chunk_write(conn *c, const void *p1, size_t n1, const void *p2, size_t n2)
{
    char size[24];
    int len = snprintf(size, sizeof(size), "%zx\r\n", n1 + n2);

    if (n1 + n2 <= SMALL_CHUNK) {
        char whole[SMALL_CHUNK + sizeof(size) + 2];
        size_t n = (size_t)len;

        memcpy(whole, size, n);
        if (n1)
            memcpy(whole + n, p1, n1);
        if (n2)
            memcpy(whole + n + n1, p2, n2);
        memcpy(whole + n + n1 + n2, "\r\n", 2);
        conn_write(c, whole, n + n1 + n2 + 2, NULL, 0);
        return;
    }
    conn_write(c, size, (size_t)len, p1, n1);
    conn_write(c, p2, n2, "\r\n", 2);
}

bool stream_write2(stream *s, const void *p1, size_t n1, const void *p2, size_t n2)
{
    conn *c = s->r->c;

    if (!c || s->ended || s->stopped || !(n1 + n2))
        return c != NULL;
    if (s->raw || (!s->chunked && !s->head_only))
        conn_write(c, p1, n1, p2, n2);
    else if (!s->head_only)
        chunk_write(c, p1, n1, p2, n2);
    s->full = conn_unsent(c) >= HTTP_STREAM_UNSENT_MAX;
    return !s->full;
}

bool stream_write(stream *s, const void *p, size_t n)
{
    return stream_write2(s, p, n, NULL, 0);
}

size_t stream_unsent(const stream *s)
{
    return s->r->c ? conn_unsent(s->r->c) : 0;
}

void stream_drained(stream *s)
{
    if (!s->full || s->ended || s->stopped)
        return;
    s->full = false;
    s->ops.pull(s->arg, s);
}

void stream_client_gone(stream *s)
{
    s->ended = true;
    stop_soon(s);
}

void stream_end(stream *s)
{
    conn *c = s->r->c;

    if (s->ended || s->stopped)
        return;
    s->ended = true;
    stop_soon(s);
    if (!c)
        return;
    if (s->chunked && !s->head_only)
        conn_write(c, "0\r\n\r\n", 5, NULL, 0);
    if (s->raw)
        c->body_done = true;
    conn_answered(c);
}

void stream_abort(stream *s)
{
    if (s->ended || s->stopped)
        return;
    if (s->r->c)
        conn_close(s->r->c);
    else
        stream_client_gone(s);
}

void stream_read_pause(stream *s, bool paused)
{
    if (s->r->body_paused == paused)
        return;
    s->r->body_paused = paused;
    if (s->r->c)
        conn_body_flow(s->r->c);
}
