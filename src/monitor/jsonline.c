/* jsonline.c - one record of the json-file log.
 *
 * Most bytes of most logs need no escaping, so eight at a time are looked at and copied; what Go's
 * escaping (as dockerd's jsonlog has it) changes is the rare case: control characters, quotes,
 * backslashes, the three HTML characters, U+2028/9, and bytes that are not UTF-8.  One thread. */
#include "jsonline.h"
#include <berth/timefmt.h>
#include <string.h>

typedef uint64_t word;
#define EACH_BYTE(value) ((word)0x0101010101010101ULL * (value))

/* A word with the high bit set in every byte that equals value; right for bytes below 0x80. */
static word bytes_equal(word w, unsigned char value)
{
    word x = w ^ EACH_BYTE(value);

    return (x - EACH_BYTE(1)) & ~x;
}

/* Is there a byte in w that may have to be escaped?  False alarms cost time only. */
static bool is_special_word(word w)
{
    word below_space = (w - EACH_BYTE(0x20)) & ~w;

    return ((w | below_space | bytes_equal(w, '"') | bytes_equal(w, '\\') | bytes_equal(w, '<') |
             bytes_equal(w, '>') | bytes_equal(w, '&')) &
            EACH_BYTE(0x80)) != 0;
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the UTF-8 character at p, 0 when there is none that Go accepts. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return n >= 2 && is_continuation(p[1]) ? 2 : 0;
    if (p[0] >= 0xe0 && p[0] <= 0xef) {
        unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80, high = p[0] == 0xed ? 0x9f : 0xbf;

        return n >= 3 && p[1] >= low && p[1] <= high && is_continuation(p[2]) ? 3 : 0;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80, high = p[0] == 0xf4 ? 0x8f : 0xbf;

        return n >= 4 && p[1] >= low && p[1] <= high && is_continuation(p[2]) &&
                       is_continuation(p[3])
                   ? 4
                   : 0;
    }
    return 0;
}

static char *put(char *out, const char *text, size_t n)
{
    memcpy(out, text, n);
    return out + n;
}

static char *escape_ascii(char *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    if (c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&') {
        *out++ = (char)c;
        return out;
    }
    *out++ = '\\';
    if (c == '"' || c == '\\') {
        *out++ = (char)c;
    } else if (c == '\n' || c == '\r') {
        *out++ = c == '\n' ? 'n' : 'r';
    } else {
        out = put(out, "u00", 3);
        *out++ = hex[c >> 4];
        *out++ = hex[c & 15];
    }
    return out;
}

/* One character, escaped where needed; moves *p behind it. */
static char *escape_char(char *out, const char **p, const char *end)
{
    const unsigned char *at = (const unsigned char *)*p;
    size_t n;

    if (*at < 0x80) {
        *p += 1;
        return escape_ascii(out, *at);
    }
    n = utf8_length(at, (size_t)(end - *p));
    *p += n ? n : 1;
    if (!n)
        return put(out, "\\ufffd", 6);
    if (n == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9))
        return put(out, at[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
    return put(out, (const char *)at, n);
}

static char *escape(char *out, const char *p, size_t n)
{
    const char *end = p + n;

    while (p < end) {
        word w;

        while ((size_t)(end - p) >= sizeof w) {
            memcpy(&w, p, sizeof w);
            if (is_special_word(w))
                break;
            memcpy(out, &w, sizeof w);
            p += sizeof w;
            out += sizeof w;
        }
        for (const char *stop = end - p > 8 ? p + 8 : end; p < stop;)
            out = escape_char(out, &p, end);
    }
    return out;
}

char *jsonline_head(char *out, const char *line, size_t n, bool partial)
{
    out = put(out, "{\"log\":\"", 8);
    out = escape(out, line, n);
    return partial ? put(out, "\"", 1) : put(out, "\\n\"", 3);
}

char *jsonline_tail_write(char *out, const char *stream, const char *attrs, int64_t time_ns)
{
    char stamp[TIME_TEXT];

    out = put(out, ",\"stream\":\"", 11);
    out = put(out, stream, strlen(stream));
    out = put(out, "\"", 1);
    if (*attrs) {
        out = put(out, ",\"attrs\":", 9);
        out = put(out, attrs, strlen(attrs));
    }
    time_rfc3339(time_ns, stamp);
    out = put(out, ",\"time\":\"", 9);
    out = put(out, stamp, strlen(stamp));
    return put(out, "\"}\n", 3);
}
