/* target.c - the request target taken apart: version prefix, path segments, query.
 *
 * Segments are split before they are decoded, so an encoded slash stays inside its segment.  Pure functions. */
#include "target.h"
#include <berth/buf.h>
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

/* "v1.51": digits and dots behind a v, a dot among them. */
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

/* Where an unclean path leads, as Go's path.Clean has it. */
static const char *cleaned(char *const *segments, size_t n, bool slash_at_end, arena *a)
{
    auto_strv kept = {0};
    auto_buf out = {0};

    for (size_t i = 0; i < n; i++) {
        if (!*segments[i] || str_eq(segments[i], "."))
            continue;
        if (!str_eq(segments[i], ".."))
            strv_push(&kept, segments[i]);
        else if (kept.n)
            strv_pop(&kept);
    }
    for (size_t i = 0; i < kept.n; i++)
        buf_printf(&out, "/%s", kept.v[i]);
    if (slash_at_end || !out.len)
        buf_char(&out, '/');
    return arena_strdup(a, out.data);
}

static const char *joined(const target *t, arena *a)
{
    auto_buf out = {0};

    for (size_t i = 0; i < t->n_segments; i++)
        buf_printf(&out, "/%s", t->segments[i]);
    return arena_strdup(a, out.len ? out.data : "/");
}

static int path_parse(target *t, const char *p, size_t n, arena *a)
{
    bool unclean = false, slash_at_end = n > 1 && p[n - 1] == '/';
    const char *end = p + n;

    for (p++; p <= end; p++) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t len = slash ? (size_t)(slash - p) : (size_t)(end - p);
        char *segment = decode(p, len, false, a);

        if (!segment)
            return 400;
        if (t->n_segments == SEGMENTS_MAX)
            return 404;
        if (len || slash) { /* a slash at the end makes no empty segment */
            unclean |= !len || is_dots(segment);
            t->segments[t->n_segments++] = segment;
        }
        p += len;
    }
    if (unclean)
        t->clean_path = cleaned(t->segments, t->n_segments, slash_at_end, a);
    if (t->n_segments && version_parse(t, t->segments[0])) {
        t->n_segments--;
        memmove(t->segments, t->segments + 1, t->n_segments * sizeof(t->segments[0]));
    }
    t->path = joined(t, a);
    return 0;
}

/* "http://host/path" counts as "/path". */
static void skip_authority(const char **p, size_t *n)
{
    const char *slashes = memmem(*p, *n, "://", 3);
    const char *path = slashes ? memchr(slashes + 3, '/', *n - (size_t)(slashes + 3 - *p)) : NULL;

    if (**p == '/' || !slashes)
        return;
    *n = path ? *n - (size_t)(path - *p) : 1;
    *p = path ? path : "/";
}

int target_parse(target *t, const char *uri, size_t n, arena *a)
{
    const char *mark;
    int status = 0;

    memset(t, 0, sizeof(*t));
    skip_authority(&uri, &n);
    if ((mark = memchr(uri, '#', n)))
        n = (size_t)(mark - uri);
    mark = memchr(uri, '?', n);
    if (n == 1 && *uri == '*') { /* OPTIONS * */
        t->path = "*";
        return 0;
    }
    if (!n || *uri != '/')
        return 400;
    if (mark)
        status = query_parse(t, mark + 1, n - (size_t)(mark + 1 - uri), a);
    return status ? status : path_parse(t, uri, mark ? (size_t)(mark - uri) : n, a);
}
