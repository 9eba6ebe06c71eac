/* fuzz_http.c - a client's bytes through gate and parser: the same story, however they are cut. */
#include "inbound.h"
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    inbound in;
    bool in_body, over;
    buf story;
} reader;

static void on_body(void *arg, const char *p, size_t n)
{
    buf_add(arg, p, n);
}

static int head_end(reader *r)
{
    http_head head;
    http_method m = GET;
    char *text = NULL;
    int status = inbound_head_take(&r->in, &text, &head, &m);

    if (!status)
        buf_printf(&r->story, "[%d %.*s %zu]", m, (int)head.uri_len, head.uri, head.n_fields);
    free(text);
    free(head.fields);
    return status ? status : r->in.done;
}

static size_t feed(reader *r, const char *p, size_t n)
{
    size_t used = 0;
    int status = (r->in_body ? inbound_body_feed : inbound_head_feed)(&r->in, p, n, &used);

    if (!r->in_body && status == 1) {
        r->in_body = true;
        status = head_end(r);
    }
    if (status == 1) { /* the next message */
        inbound_done(&r->in);
        inbound_init(&r->in, on_body, &r->story);
        r->in_body = false;
    }
    if (status > 1)
        buf_printf(&r->story, "!%d", status);
    r->over = status > 1;
    return used;
}

static buf story_of(const char *p, size_t n, size_t piece)
{
    reader r = {0};

    inbound_init(&r.in, on_body, &r.story);
    for (size_t at = 0, end; at < n && !r.over; at = end) {
        end = n - at < piece ? n : at + piece;
        while (at < end && !r.over)
            at += feed(&r, p + at, end - at);
    }
    inbound_done(&r.in);
    return r.story;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *p = (const char *)data;
    auto_buf whole = story_of(p, n, n);

    for (size_t piece = 1; n && piece < 17; piece += 1 + data[n - 1] % 16) {
        auto_buf cut = story_of(p, n, piece);

        if (cut.len != whole.len || (cut.len && memcmp(cut.data, whole.data, cut.len) != 0))
            abort();
    }
    return 0;
}
