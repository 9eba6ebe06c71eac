/* chunks.c - the framing of a chunked body, checked byte by byte before llhttp decodes it.
 *
 * A size is 1 to 16 hex digits and below 2^62, lines end in CR LF, extensions and trailers are
 * bounded, and a trailer may not name what frames a message.  Pure functions. */
#include "gate.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    EXTENSION_LINE_MAX = 4 << 10,
    EXTENSIONS_MAX = 64 << 10,
    TRAILER_MAX = 8 << 10,
    SIZE_DIGITS_MAX = 16,
};
#define CHUNK_MAX (1ULL << 62)

enum {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF
};

static int hex_digit(unsigned char c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static bool is_forbidden(const chunk_gate *g)
{
    static const char *const names[] = {
        "Content-Length", "Transfer-Encoding", "Host",          "Connection",   "Upgrade",
        "Expect",         "Trailer",           "Authorization", "Content-Type", "TE"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == g->name_len && strncasecmp(names[i], g->name, g->name_len) == 0)
            return true;
    return false;
}

static int size_byte(chunk_gate *g, unsigned char c)
{
    int digit = hex_digit(c);

    if (digit >= 0) {
        if (++g->digits > SIZE_DIGITS_MAX || g->left >> 60)
            return 400;
        g->left = g->left << 4 | (unsigned)digit;
        return g->left > CHUNK_MAX ? 400 : 0;
    }
    if (!g->digits)
        return 400;
    if (c == ';') {
        g->state = EXTENSION;
        g->line = 0;
        return 0;
    }
    if (c != '\r')
        return 400;
    g->state = SIZE_LF;
    return 0;
}

static int extension_byte(chunk_gate *g, unsigned char c)
{
    if (c == '\r') {
        g->state = SIZE_LF;
        return 0;
    }
    if ((c < ' ' && c != '\t') || c == 0x7F || ++g->line > EXTENSION_LINE_MAX ||
        ++g->extensions > EXTENSIONS_MAX)
        return 400;
    return 0;
}

static int trailer_name_byte(chunk_gate *g, unsigned char c)
{
    if (c == ':') {
        g->state = TRAILER_VALUE;
        return is_forbidden(g) ? 400 : 0;
    }
    if (!isalnum(c) && !strchr("!#$%&'*+-.^_`|~", c))
        return 400;
    if (g->name_len < sizeof(g->name))
        g->name[g->name_len++] = (char)c;
    return 0;
}

/* One byte outside of a chunk's data; -1: it ended the body. */
static int framing_byte(chunk_gate *g, unsigned char c)
{
    if (g->state >= TRAILER && ++g->trailer > TRAILER_MAX)
        return 431;
    switch (g->state) {
    case SIZE:
        return size_byte(g, c);
    case EXTENSION:
        return extension_byte(g, c);
    case SIZE_LF:
        g->last = g->left == 0;
        g->state = g->last ? TRAILER : DATA;
        return c == '\n' ? 0 : 400;
    case DATA_CR:
        g->state = DATA_LF;
        return c == '\r' ? 0 : 400;
    case DATA_LF:
        g->state = SIZE;
        g->digits = 0;
        g->left = 0;
        return c == '\n' ? 0 : 400;
    case TRAILER:
        if (c == '\r') {
            g->state = END_LF;
            return 0;
        }
        g->state = TRAILER_NAME;
        g->name_len = 0;
        return c == ':' ? 400 : trailer_name_byte(g, c);
    case TRAILER_NAME:
        return trailer_name_byte(g, c);
    case TRAILER_VALUE:
        if (c == '\r')
            g->state = TRAILER_LF;
        return (c < ' ' && c != '\t' && c != '\r') || c == 0x7F ? 400 : 0;
    case TRAILER_LF:
        g->state = TRAILER;
        return c == '\n' ? 0 : 400;
    default:
        return c == '\n' ? -1 : 400;
    }
}

int chunk_gate_feed(chunk_gate *g, const char *p, size_t n, size_t *ret_used)
{
    size_t i = 0;

    while (i < n) {
        int status;

        if (g->state == DATA) {
            size_t some = g->left < n - i ? (size_t)g->left : n - i;

            g->left -= some;
            i += some;
            if (!g->left)
                g->state = DATA_CR;
            continue;
        }
        status = framing_byte(g, (unsigned char)p[i++]);
        if (status) {
            *ret_used = i;
            return status < 0 ? 1 : status;
        }
    }
    *ret_used = n;
    return 0;
}
