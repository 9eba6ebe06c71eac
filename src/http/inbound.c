/* inbound.c - one message on its way in: the gate first, then llhttp.
 *
 * llhttp sees a head only when it is whole and the gate has accepted it; of a body it sees what the
 * framing allows, so that both always agree on where a message ends.  Pure functions. */
#include "inbound.h"
#include <stdlib.h>
#include <string.h>

const char *method_name(http_method m)
{
    static const char *const names[METHOD_COUNT] = {"GET", "HEAD",   "POST",
                                                    "PUT", "DELETE", "OPTIONS"};

    return names[m];
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    inbound *in = p->data;

    in->on_body(in->arg, at, n);
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    ((inbound *)p->data)->done = true;
    return 0;
}

static const llhttp_settings_t *parser_settings(void)
{
    static llhttp_settings_t settings;

    if (!settings.on_body) {
        llhttp_settings_init(&settings);
        settings.on_message_complete = on_message_complete;
        settings.on_body = on_body;
    }
    return &settings;
}

void inbound_init(inbound *in, void (*fn)(void *arg, const char *p, size_t n), void *arg)
{
    memset(in, 0, sizeof(*in));
    in->on_body = fn;
    in->arg = arg;
}

void inbound_done(inbound *in)
{
    buf_done(&in->head);
}

int inbound_head_feed(inbound *in, const char *p, size_t n, size_t *ret_used)
{
    int status = head_scan_feed(&in->scan, p, n, ret_used);

    if (status <= 1)
        buf_add(&in->head, p, *ret_used);
    return status;
}

/* An upgrade pauses llhttp behind the message, which is where we stop anyway. */
static bool parser_takes(inbound *in, const char *p, size_t n)
{
    llhttp_errno_t result = llhttp_execute(&in->parser, p, n);

    return result == HPE_OK || (result == HPE_PAUSED_UPGRADE && in->done);
}

static bool method_find(const http_head *h, http_method *ret)
{
    for (http_method m = GET; m < METHOD_COUNT; m++) {
        if (strlen(method_name(m)) == h->method_len &&
            memcmp(method_name(m), h->method, h->method_len) == 0) {
            *ret = m;
            return true;
        }
    }
    return false;
}

int inbound_head_take(inbound *in, char **ret_text, http_head *ret, http_method *ret_method)
{
    size_t len = in->head.len;
    int status;

    *ret_text = buf_take(&in->head);
    memset(ret, 0, sizeof(*ret));
    status = head_check(ret, *ret_text, len);
    if (status)
        return status;
    if (!method_find(ret, ret_method))
        return 404;
    in->chunked = ret->chunked;
    in->left = ret->length;
    llhttp_init(&in->parser, HTTP_REQUEST, parser_settings());
    in->parser.data = in;
    return parser_takes(in, *ret_text, len) ? 0 : 400;
}

/* What comes before a framing error is still handed over, or the cut of the bytes would show. */
int inbound_body_feed(inbound *in, const char *p, size_t n, size_t *ret_used)
{
    int status = 0;
    size_t good;

    *ret_used = n;
    if (in->chunked) {
        status = chunk_gate_feed(&in->chunks, p, n, ret_used);
    } else {
        if (in->left < n)
            *ret_used = (size_t)in->left;
        in->left -= *ret_used;
        status = in->left == 0;
    }
    good = status > 1 ? *ret_used - 1 : *ret_used;
    if (!parser_takes(in, p, good) || (status <= 1 && in->done != (status == 1)))
        return 400;
    return status;
}
