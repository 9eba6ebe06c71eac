/* entry.c - one line of a json-file log.
 *
 * The writer's lines have one shape: log, stream, attrs at times, time; nothing else is looked for,
 * so that a line costs a few memchr.  Pure functions. */
#include "entry.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LOG_KEY    "{\"log\":\""
#define STREAM_KEY ",\"stream\":\""
#define ATTRS_KEY  ",\"attrs\":"
#define TIME_KEY   ",\"time\":\""

enum { FRAME_HEADER = 8 };

/* The closing quote of the string that begins at p, or NULL. */
static const char *string_end(const char *p, const char *end)
{
    while ((p = memchr(p, '"', (size_t)(end - p)))) {
        const char *b = p;

        while (b[-1] == '\\')
            b--;
        if ((p - b) % 2 == 0)
            return p;
        p++;
    }
    return NULL;
}

static bool skip(const char **p, const char *end, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(end - *p) < n || memcmp(*p, word, n) != 0)
        return false;
    *p += n;
    return true;
}

/* The brace that closes the object at p, or NULL. */
static const char *object_end(const char *p, const char *end)
{
    for (p++; p < end && *p != '}'; p++)
        if (*p == '"' && !(p = string_end(p + 1, end)))
            return NULL;
    return p && p < end ? p + 1 : NULL;
}

bool log_entry_parse(const char *line, size_t n, log_entry *ret)
{
    const char *p = line, *end = line + n, *quote;
    log_entry e = {0};

    if (!skip(&p, end, LOG_KEY) || !(quote = string_end(p, end)))
        return false;
    e.log = p;
    e.log_len = (size_t)(quote - p);
    e.ends_line = e.log_len >= 2 && memcmp(quote - 2, "\\n", 2) == 0 &&
                  (e.log_len < 3 || quote[-3] != '\\' || (e.log_len >= 4 && quote[-4] == '\\'));
    p = quote + 1;
    if (!skip(&p, end, STREAM_KEY))
        return false;
    e.is_err = skip(&p, end, "stderr\"");
    if (!e.is_err && !skip(&p, end, "stdout\""))
        return false;
    if (skip(&p, end, ATTRS_KEY)) {
        e.attrs = p;
        if (p >= end || *p != '{' || !(p = object_end(p, end)))
            return false;
        e.attrs_len = (size_t)(p - e.attrs);
    }
    if (!skip(&p, end, TIME_KEY) || !(quote = memchr(p, '"', (size_t)(end - p))) ||
        quote + 1 >= end || quote[1] != '}')
        return false;
    e.time = p;
    e.time_len = (size_t)(quote - p);
    *ret = e;
    return true;
}

bool log_entry_time(const log_entry *e, int64_t *ret_ns)
{
    char text[TIME_TEXT];
    err *bad;

    if (e->time_len >= sizeof(text))
        return false;
    memcpy(text, e->time, e->time_len);
    text[e->time_len] = '\0';
    bad = time_parse_rfc3339(text, ret_ns);
    err_free(bad);
    return !bad;
}

/* ---- unescaping ---- */

static unsigned hex4(const char *p)
{
    unsigned n = 0;

    for (int i = 0; i < 4; i++)
        n = n << 4 | (unsigned)(isdigit((unsigned char)p[i])
                                    ? p[i] - '0'
                                    : (tolower((unsigned char)p[i]) - 'a' + 10) & 15);
    return n;
}

static void utf8_add(unsigned code, buf *out)
{
    char bytes[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = n; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3F));
    bytes[0] = (char)(lead[n] | code);
    buf_add(out, bytes, n);
}

/* What follows a backslash at p; how much of it was used. */
static size_t escape_add(const char *p, const char *end, buf *out)
{
    static const char letters[] = "nrtbf", meant[] = "\n\r\t\b\f";
    const char *at = memchr(letters, *p, sizeof(letters) - 1);
    unsigned code;

    if (*p != 'u' || end - p < 5) {
        buf_char(out, at ? meant[at - letters] : *p);
        return 1;
    }
    code = hex4(p + 1);
    if (code >= 0xD800 && code < 0xDC00 && end - p >= 11 && p[5] == '\\' && p[6] == 'u') {
        utf8_add(0x10000 + ((code - 0xD800) << 10) + (hex4(p + 7) - 0xDC00), out);
        return 11;
    }
    utf8_add(code, out);
    return 5;
}

static void unescape(const char *p, size_t n, buf *out)
{
    const char *end = p + n, *slash;

    while ((slash = memchr(p, '\\', (size_t)(end - p)))) {
        buf_add(out, p, (size_t)(slash - p));
        p = slash + 1;
        if (p < end)
            p += escape_add(p, end, out);
    }
    buf_add(out, p, (size_t)(end - p));
}

/* {"k":"v","k2":"v2"} as "k=v,k2=v2 ". */
static void details_add(const log_entry *e, buf *out)
{
    const char *p = e->attrs, *end = e->attrs + e->attrs_len, *close;
    bool is_key = true;

    for (; p && p < end; p++) {
        if (*p == ',')
            buf_char(out, ',');
        if (*p != '"')
            continue;
        close = string_end(p + 1, end);
        if (!close)
            break;
        unescape(p + 1, (size_t)(close - p - 1), out);
        if (is_key)
            buf_char(out, '=');
        is_key = !is_key;
        p = close;
    }
    buf_char(out, ' ');
}

static void time_add(const log_entry *e, buf *out)
{
    char text[TIME_TEXT];
    int64_t ns;

    if (!log_entry_time(e, &ns))
        return;
    time_rfc3339_fixed(ns, text);
    buf_str(out, text);
    buf_char(out, ' ');
}

void log_entry_format(const log_entry *e, const log_query *q, bool begins, buf *out)
{
    size_t head = out->len, len;

    if (q->framed)
        buf_add(out, "\0\0\0\0\0\0\0\0", FRAME_HEADER);
    if (q->timestamps && begins)
        time_add(e, out);
    if (q->details && begins && e->attrs)
        details_add(e, out);
    unescape(e->log, e->log_len, out);
    if (!q->framed)
        return;
    len = out->len - head - FRAME_HEADER;
    out->data[head] = e->is_err ? 2 : 1;
    for (int i = 0; i < 4; i++)
        out->data[head + 4 + (size_t)i] = (char)(len >> (24 - 8 * i));
}
