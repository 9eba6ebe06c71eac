/* gate.c - what must hold of a request's head beyond what llhttp checks.  Pure functions. */
#include "gate.h"
#include <berth/http.h>
#include <berth/mem.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { LENGTH_DIGITS_MAX = 19 };

int blank_feed(uint8_t *seen, const char *p, size_t n, size_t *ret_used)
{
    size_t i = 0;

    if (*seen == 0) {
        *seen = p[0] == '\r' ? 1 : BLANK_OVER;
        i = p[0] == '\r';
    }
    if (*seen == 1 && i < n) {
        if (p[i++] != '\n')
            return 400;
        *seen = BLANK_OVER;
    }
    *ret_used = i;
    return *seen == BLANK_OVER && i < n;
}

/* One of the bytes that may end a line; the status to refuse with, or 0. */
static int line_byte(head_scan *h, char c)
{
    bool behind_cr = h->ends & 1;

    if (c == '\0' || (c == '\n') != behind_cr) /* a lone LF, a lone CR */
        return 400;
    h->ends = c == '\n' || c == '\r' ? h->ends + 1 : 0;
    return 0;
}

int head_scan_feed(head_scan *h, const char *p, size_t n, size_t *ret_used)
{
    size_t room = HTTP_HEAD_MAX - h->seen, end = n < room ? n : room, i = 0;

    if (h->seen == 0 && n && !isalpha((unsigned char)*p)) /* a TLS hello, an old client's noise */
        return 400;
    while (i < end && h->ends < 4) {
        size_t from = i;

        while (i < end && (unsigned char)p[i] > '\r')
            i++;
        if (i > from && h->ends & 1)
            return 400;
        if (i > from)
            h->ends = 0;
        if (i < end && line_byte(h, p[i++]))
            return 400;
    }
    h->seen += i;
    *ret_used = i;
    if (h->ends == 4)
        return 1;
    return i < n ? 431 : 0;
}

static bool is_token(unsigned char c)
{
    return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int version_check(http_head *h, const char *p, size_t n)
{
    if (n != 8 || memcmp(p, "HTTP/", 5) != 0 || !isdigit((unsigned char)p[5]) || p[6] != '.' ||
        !isdigit((unsigned char)p[7]))
        return 400;
    if (p[5] >= '2')
        return 505;
    if (p[5] != '1' || p[7] > '1')
        return 400;
    h->http_10 = p[7] == '0';
    return 0;
}

/* METHOD SP target SP version: single spaces, visible ASCII. */
static int request_line_check(http_head *h, const char *p, size_t n)
{
    const char *sp1 = memchr(p, ' ', n), *sp2;

    if (!sp1)
        return 400;
    sp2 = memchr(sp1 + 1, ' ', n - (size_t)(sp1 + 1 - p));
    if (!sp2 || sp2 == sp1 + 1)
        return 400;
    h->method = p;
    h->method_len = (uint32_t)(sp1 - p);
    h->uri = sp1 + 1;
    h->uri_len = (uint32_t)(sp2 - h->uri);
    for (const char *m = p; m < sp1; m++)
        if (!isupper((unsigned char)*m))
            return 400;
    for (const char *u = h->uri; u < sp2; u++)
        if ((unsigned char)*u <= ' ' || (unsigned char)*u >= 0x7F)
            return 400;
    return version_check(h, sp2 + 1, n - (size_t)(sp2 + 1 - p));
}

static bool field_is(const http_head *h, const head_field *f, const char *name)
{
    return strlen(name) == f->name_len && strncasecmp(h->text + f->name, name, f->name_len) == 0;
}

/* A folded line: a second line of Transfer-Encoding is a coding that we do not know. */
static int folded_status(const http_head *h)
{
    return h->n_fields && field_is(h, &h->fields[h->n_fields - 1], "Transfer-Encoding") ? 501 : 400;
}

static int field_check(http_head *h, const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n), *value, *end = p + n;

    if (*p == ' ' || *p == '\t')
        return folded_status(h);
    if (!colon || colon == p)
        return 400;
    for (const char *c = p; c < colon; c++) /* no blank before the colon either */
        if (!is_token((unsigned char)*c))
            return 400;
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t');)
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    for (const char *c = value; c < end; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7F)
            return colon - p == 17 && strncasecmp(p, "Transfer-Encoding", 17) == 0 ? 501 : 400;
    if (h->n_fields == HTTP_HEADERS_MAX)
        return 431;
    if (h->n_fields == h->room) {
        h->room = h->room ? h->room * 2 : 16;
        h->fields = xrealloc(h->fields, h->room * sizeof(*h->fields));
    }
    h->fields[h->n_fields++] = (head_field){(uint32_t)(p - h->text), (uint32_t)(colon - p),
                                            (uint32_t)(value - h->text), (uint32_t)(end - value)};
    return 0;
}

const char *head_value(const http_head *h, const char *name, size_t *ret_len)
{
    for (size_t i = 0; i < h->n_fields; i++) {
        if (field_is(h, &h->fields[i], name)) {
            *ret_len = h->fields[i].value_len;
            return h->text + h->fields[i].value;
        }
    }
    return NULL;
}

/* Old clients on unix sockets send the encoded path; what could hide a second meaning is refused.
 */
static int host_check(const char *value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)value[i]) && !strchr("-._~:[]%!$&'()*+,;=", value[i]))
            return 400;
    return 0;
}

static int length_check(http_head *h, const char *value, size_t n)
{
    uint64_t length = 0;

    if (h->has_length || !n)
        return 400;
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)value[i]))
            return 400;
    if (n > LENGTH_DIGITS_MAX)
        return 400;
    for (size_t i = 0; i < n; i++)
        length = length * 10 + (uint64_t)(value[i] - '0');
    if (length > INT64_MAX)
        return 413;
    h->has_length = true;
    h->length = length;
    return 0;
}

/* Does a comma list hold the word? */
static bool list_has(const char *value, size_t n, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i < n;) {
        size_t from, to;

        while (i < n && strchr(" \t,", value[i]))
            i++;
        for (from = i; i < n && value[i] != ',';)
            i++;
        for (to = i; to > from && strchr(" \t", value[to - 1]);)
            to--;
        if (to - from == len && strncasecmp(value + from, word, len) == 0)
            return true;
    }
    return false;
}

typedef struct meaning {
    unsigned hosts, codings;
    bool close, keep, upgrade_asked, upgrade_named;
} meaning;

static int field_mean(http_head *h, const head_field *f, meaning *m)
{
    const char *v = h->text + f->value;
    size_t n = f->value_len;

    if (field_is(h, f, "Host"))
        return m->hosts++ ? 400 : host_check(v, n);
    if (field_is(h, f, "Content-Length"))
        return length_check(h, v, n);
    if (field_is(h, f, "Transfer-Encoding")) {
        if (m->codings++ || n != 7 || strncasecmp(v, "chunked", 7) != 0)
            return 501;
        h->chunked = true;
    } else if (field_is(h, f, "Expect")) {
        if (n != 12 || strncasecmp(v, "100-continue", 12) != 0)
            return 417;
        h->expects_continue = !h->http_10;
    } else if (field_is(h, f, "Connection")) {
        m->close |= list_has(v, n, "close");
        m->keep |= list_has(v, n, "keep-alive");
        m->upgrade_asked |= list_has(v, n, "upgrade");
    } else if (field_is(h, f, "Upgrade")) {
        m->upgrade_named = true;
    }
    return 0;
}

static int fields_mean(http_head *h)
{
    meaning m = {0};

    for (size_t i = 0; i < h->n_fields; i++) {
        int status = field_mean(h, &h->fields[i], &m);

        if (status)
            return status;
    }
    if (m.codings && (h->http_10 || h->has_length))
        return 400;
    if (!m.hosts && !h->http_10)
        return 400;
    h->keep_alive = h->http_10 ? m.keep && !m.close : !m.close;
    h->upgrade = m.upgrade_asked && m.upgrade_named;
    return 0;
}

int head_check(http_head *h, const char *text, size_t n)
{
    const char *end = text + n - 2; /* without the empty line */
    const char *line = text, *eol;
    int status;

    h->text = text;
    for (; line < end; line = eol + 2) {
        eol = memchr(line, '\r', (size_t)(end - line));
        if (!eol)
            return 400;
        status = line == text ? request_line_check(h, line, (size_t)(eol - line))
                              : field_check(h, line, (size_t)(eol - line));
        if (status)
            return status;
    }
    if (h->method_len == 7 && memcmp(h->method, "CONNECT", 7) == 0)
        return 405;
    return fields_mean(h);
}
