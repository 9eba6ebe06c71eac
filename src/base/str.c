/* str.c - small helpers on strings, and a vector of them.  Any thread. */
#include <berth/mem.h>
#include <berth/str.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

static void strv_own(strv *s, char *item)
{
    if (!s->v ||
        (s->n & (s->n - 1)) == 0) /* at every power of two: room for twice as many and the NULL */
        s->v = xrealloc(s->v, ((s->n ? s->n * 2 : 1) + 1) * sizeof(*s->v));
    s->v[s->n++] = item;
    s->v[s->n] = NULL;
}

void strv_push(strv *s, const char *item)
{
    strv_own(s, xstrdup(item));
}

void strv_pushf(strv *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strv_own(s, xvasprintf(fmt, ap));
    va_end(ap);
}

void strv_add(strv *s, ...)
{
    const char *item;
    va_list ap;

    va_start(ap, s);
    while ((item = va_arg(ap, const char *)))
        strv_push(s, item);
    va_end(ap);
}

void strv_pop(strv *s)
{
    free(s->v[--s->n]);
    s->v[s->n] = NULL;
}

bool strv_has(const strv *s, const char *item)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i], item) == 0)
            return true;
    return false;
}

void strv_take_out(strv *s, const char *item)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (str_eq(s->v[i], item))
            free(s->v[i]);
        else
            s->v[kept++] = s->v[i];
    }
    s->n = kept;
    if (s->v)
        s->v[kept] = NULL;
}

void strv_done(strv *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (strv){0};
}

void strv_split(strv *s, const char *text, char sep)
{
    const char *end;

    if (!*text)
        return;
    while ((end = strchr(text, sep))) {
        strv_own(s, xstrndup(text, (size_t)(end - text)));
        text = end + 1;
    }
    strv_push(s, text);
}

bool str_eq_nocase(const char *a, const char *b)
{
    return a && b ? strcasecmp(a, b) == 0 : a == b;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

/* How many bytes the well-formed sequence at s has; 0 when it is none (RFC 3629: no overlong forms,
 * no surrogates, nothing above U+10FFFF). */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    size_t len = s[0] < 0x80                   ? 1
                 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
                 : (s[0] & 0xF0) == 0xE0       ? 3
                 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                               : 0;

    if (!len || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
        (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

size_t str_utf8_length(const char *s, size_t n)
{
    return n ? utf8_sequence((const unsigned char *)s, n) : 0;
}

bool str_is_utf8(const char *s, size_t n)
{
    for (size_t i = 0, len; i < n; i += len)
        if (!(len = str_utf8_length(s + i, n - i)))
            return false;
    return true;
}

bool str_to_uint64(const char *s, uint64_t *ret_n)
{
    unsigned long long n;
    char *end;

    if (!s || !isdigit((unsigned char)*s))
        return false;
    errno = 0;
    n = strtoull(s, &end, 10);
    if (errno || *end)
        return false;
    *ret_n = n;
    return true;
}

bool str_to_int64(const char *s, int64_t *ret_n)
{
    long long n;
    char *end;

    if (!s || !isdigit((unsigned char)s[*s == '-' || *s == '+']))
        return false;
    errno = 0;
    n = strtoll(s, &end, 10);
    if (errno || *end)
        return false;
    *ret_n = n;
    return true;
}

/* The unit behind a size: "", "b", "k", "kb", "kib", ... up to p. */
static bool unit_shift(const char *unit, unsigned *ret_shift)
{
    static const char letters[] = "kmgtp";
    const char *at;

    *ret_shift = 0;
    if (!*unit || strcasecmp(unit, "b") == 0)
        return true;
    at = strchr(letters, tolower((unsigned char)*unit));
    if (!at || (unit[1] && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0))
        return false;
    *ret_shift = 10 * (unsigned)(at - letters + 1);
    return true;
}

bool str_to_bytes(const char *s, int64_t *ret_n)
{
    unsigned shift;
    double n;
    char *end;

    if (!s || !isdigit((unsigned char)*s) || (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')))
        return false;
    n = strtod(s, &end);
    while (*end == ' ')
        end++;
    if (!unit_shift(end, &shift))
        return false;
    n *= (double)(1ULL << shift);
    if (!(n < 9.2e18))
        return false;
    *ret_n = (int64_t)n;
    return true;
}

void str_hex(const void *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = p;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

void str_random_id(char out[65])
{
    unsigned char bytes[32];

    do {
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
            abort();
        str_hex(bytes, sizeof(bytes), out);
    } while (strspn(out, "0123456789") >= 12); /* a short id must not read as a number */
}
