/* target.c - the request target taken apart: version prefix, path segments, query.
 *
 * Segments are split before they are decoded, so an encoded slash stays inside its segment.  Pure
 * functions. */
#include "target.h"
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

static int hex(unsigned char c)
{
    return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

/* Decoded into the arena; NULL for a bad escape or a NUL. */
static char *decode(const char *p, size_t n, bool plus_is_space, arena *a)
{
    char *out = arena_alloc(a, n + 1), *to = out;

    for (size_t i = 0; i < n; i++) {
        if (!p[i])
            return NULL;
        if (p[i] == '%') {
            int hi = n - i > 2 ? hex((unsigned char)p[i + 1]) : -1;
            int lo = n - i > 2 ? hex((unsigned char)p[i + 2]) : -1;

            if (hi < 0 || lo < 0 || !(hi | lo))
                return NULL;
            *to++ = (char)(hi << 4 | lo);
            i += 2;
        } else {
            *to++ = plus_is_space && p[i] == '+' ? ' ' : p[i];
        }
    }
    *to = '\0';
    return out;
}

static int query_parse(target *t, const char *p, size_t n, arena *a)
{
    size_t room = 1;

    for (size_t i = 0; i < n; i++)
        room += p[i] == '&';
    t->query = arena_alloc(a, room * sizeof(*t->query));
    while (n) {
        const char *amp = memchr(p, '&', n);
        size_t len = amp ? (size_t)(amp - p) : n;
        const char *eq = memchr(p, '=', len);
        size_t name_len = eq ? (size_t)(eq - p) : len;

        if (len) {
            query_pair *q = &t->query[t->n_query];

            q->name = decode(p, name_len, true, a);
            q->value = eq ? decode(eq + 1, len - name_len - 1, true, a) : "";
            if (!q->name || !q->value)
                return 400;
            t->n_query++;
        }
        p += len + (amp != NULL);
        n -= len + (amp != NULL);
    }
    return 0;
}

/* "v1.51": digits and dots behind a v. */
static bool version_parse(target *t, const char *s)
{
    const char *p = s + 1;
    size_t digits;

    if (*s != 'v' || !*p || strspn(p, "0123456789.") != strlen(p))
        return false;
    digits = strspn(p, "0123456789");
    t->has_version = true;
    t->version = p;
    t->major = t->minor = 0;
    for (size_t i = 0; i < digits && t->major < 100000; i++)
        t->major = t->major * 10 + (p[i] - '0');
    for (p += digits + (p[digits] == '.'); isdigit((unsigned char)*p) && t->minor < 100000; p++)
        t->minor = t->minor * 10 + (*p - '0');
    return true;
}

static bool is_dots(const char *s)
{
    return str_eq(s, ".") || str_eq(s, "..");
}

static void encode(const char *s, buf *out)
{
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~!$&'()*+,;=:@", *s))
            buf_char(out, *s);
        else
            buf_printf(out, "%%%02X", (unsigned char)*s);
    }
}

/* Where an unclean path leads, as Go's path.Clean has it. */
static const char *cleaned(const target *t, const char *query, size_t n_query, arena *a)
{
    auto_free size_t *kept = xcalloc(t->n_segments + 1, sizeof(*kept));
    size_t n = 0;
    auto_buf out = {0};

    for (size_t i = 0; i < t->n_segments; i++) {
        if (str_eq(t->segments[i], ".."))
            n -= n > 0;
        else if (*t->segments[i] && !str_eq(t->segments[i], "."))
            kept[n++] = i;
    }
    for (size_t i = 0; i < n; i++) {
        buf_char(&out, '/');
        encode(t->segments[kept[i]], &out);
    }
    if (t->slash_at_end || !n)
        buf_char(&out, '/');
    if (n_query)
        buf_char(&out, '?');
    buf_add(&out, query, n_query);
    return arena_strndup(a, out.data, out.len);
}

static const char *joined(const target *t, arena *a)
{
    size_t room = 2;
    char *path, *to;

    for (size_t i = 0; i < t->n_segments; i++)
        room += strlen(t->segments[i]) + 1;
    path = to = arena_alloc(a, room);
    for (size_t i = 0; i < t->n_segments; i++) {
        *to++ = '/';
        to = stpcpy(to, t->segments[i]);
    }
    if (t->slash_at_end || !t->n_segments)
        *to++ = '/';
    return path;
}

/* "/a/b" into segments; a slash at the end makes no empty one. */
static int segments_parse(target *t, const char *p, size_t n, arena *a, bool *ret_unclean)
{
    const char *end = p + n;
    size_t room = 1;

    for (const char *c = p; c < end; c++)
        room += *c == '/';
    if (room > SEGMENTS_MAX)
        return 404;
    t->segments = arena_alloc(a, room * sizeof(*t->segments));
    for (p++; p <= end; p++) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t len = (size_t)((slash ? slash : end) - p);
        char *segment = decode(p, len, false, a);

        if (!segment)
            return 400;
        if (len || slash) {
            *ret_unclean |= !len || is_dots(segment);
            t->segments[t->n_segments++] = segment;
        }
        p += len;
    }
    t->slash_at_end = t->n_segments && end[-1] == '/';
    return 0;
}

static int path_parse(target *t, const char *p, size_t n, const char *query, size_t n_query,
                      arena *a)
{
    bool unclean = false;
    int status = segments_parse(t, p, n, a, &unclean);

    if (status)
        return status;
    if (unclean)
        t->clean_path = cleaned(t, query, n_query, a);
    if (t->n_segments && version_parse(t, t->segments[0])) {
        t->n_segments--;
        t->segments++;
    }
    t->path = joined(t, a);
    return 0;
}

/* "http://host/path" counts as "/path". */
static void skip_authority(const char **p, size_t *n)
{
    const char *slashes = **p == '/' ? NULL : memmem(*p, *n, "://", 3);
    size_t skip;

    if (!slashes)
        return;
    skip = (size_t)(slashes + 3 - *p);
    while (skip < *n && !strchr("/?", (*p)[skip]))
        skip++;
    if (skip < *n && (*p)[skip] == '/') {
        *p += skip;
        *n -= skip;
    } else { /* nothing or a query behind the host */
        *p = "/";
        *n = 1;
    }
}

int target_parse(target *t, const char *uri, size_t n, arena *a)
{
    const char *mark, *query;
    size_t n_path, n_query;
    int status;

    memset(t, 0, sizeof(*t));
    if (!n)
        return 400;
    skip_authority(&uri, &n);
    if ((mark = memchr(uri, '#', n)))
        n = (size_t)(mark - uri);
    if (n == 1 && *uri == '*') { /* OPTIONS * */
        t->path = "*";
        return 0;
    }
    if (!n || *uri != '/')
        return 400;
    mark = memchr(uri, '?', n);
    n_path = mark ? (size_t)(mark - uri) : n;
    query = mark ? mark + 1 : "";
    n_query = mark ? n - n_path - 1 : 0;
    status = n_query ? query_parse(t, query, n_query, a) : 0;
    return status ? status : path_parse(t, uri, n_path, query, n_query, a);
}
