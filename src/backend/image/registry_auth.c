/* registry_auth.c - who a client is for a registry, and what a registry asks for.  Any thread. */
#include "registry_auth.h"
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <nettle/base64.h>
#include <string.h>
#include <strings.h>

JSON_DEFINE(registry_auth, REGISTRY_AUTH)

enum { AUTH_MAX = 64 << 10, VALUE_MAX = 8 << 10 };

/* Both alphabets, with and without padding; false when it is neither. */
static bool decode_base64(const char *text, buf *ret)
{
    struct base64_decode_ctx ctx;
    auto_buf plain = {0};
    size_t n = strlen(text), room;

    for (size_t i = 0; i < n && text[i] != '='; i++)
        buf_char(&plain, text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    while (plain.len % 4)
        buf_char(&plain, '=');
    buf_reserve(ret, BASE64_DECODE_LENGTH(plain.len) + 1);
    room = BASE64_DECODE_LENGTH(plain.len);
    base64_decode_init(&ctx);
    if (!base64_decode_update(&ctx, &room, (uint8_t *)ret->data, plain.len,
                              str_or(plain.data, "")) ||
        !base64_decode_final(&ctx))
        return false;
    ret->len = room;
    ret->data[room] = '\0';
    return true;
}

/* "user:password" as the CLI keeps it. */
static void take_packed(registry_auth *r, arena *a)
{
    auto_buf text = {0};
    char *colon;

    if (str_empty(r->auth) || !str_empty(r->username) || !decode_base64(r->auth, &text))
        return;
    colon = strchr(text.data, ':');
    if (!colon)
        return;
    *colon = '\0';
    r->username = arena_strdup(a, text.data);
    r->password = arena_strdup(a, colon + 1);
}

/* A line break in a name would be a header of its own. */
static bool is_plain(const char *text)
{
    for (const char *p = str_or(text, ""); *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            return false;
    return true;
}

void registry_auth_decode(const char *header, arena *a, registry_auth *ret)
{
    auto_buf text = {0};
    err *e;

    *ret = (registry_auth){0};
    if (str_empty(header) || strlen(header) > AUTH_MAX)
        return;
    if (*header == '{')
        buf_str(&text, header);
    else if (!decode_base64(header, &text))
        return;
    e = json_decode(&registry_auth_json, text.data, text.len, JSON_ANY_VERSION, a, ret);
    if (!e)
        take_packed(ret, a);
    if (e || !is_plain(ret->username) || !is_plain(ret->password) ||
        !is_plain(ret->identity_token) || !is_plain(ret->registry_token))
        *ret = (registry_auth){0};
    err_free(e);
}

/* ---- challenges ---- */

static bool is_token_char(char c)
{
    return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static const char *skip_blank(const char *p)
{
    return p + strspn(p, " \t,");
}

/* A token or a quoted string; the rest comes back, NULL when it is neither. */
static const char *take_value(const char *p, buf *ret)
{
    if (*p != '"') {
        for (; is_token_char(*p) || *p == '/' || *p == ':'; p++)
            buf_char(ret, *p);
        return p;
    }
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        if (ret->len < VALUE_MAX)
            buf_char(ret, *p);
    }
    return *p ? p + 1 : NULL;
}

static void keep(challenge *c, arena *a, const char *name, size_t n, const buf *value)
{
    char **to = n == 5 && !strncasecmp(name, "realm", n)     ? &c->realm
                : n == 7 && !strncasecmp(name, "service", n) ? &c->service
                : n == 5 && !strncasecmp(name, "scope", n)   ? &c->scope
                                                             : NULL;

    if (to && !*to)
        *to = arena_strdup(a, str_or(value->data, ""));
}

/* "name=value" pairs until the next scheme or the end. */
static const char *take_parameters(const char *p, arena *a, challenge *c)
{
    while (p && *(p = skip_blank(p))) {
        const char *name = p;
        auto_buf value = {0};
        size_t n;

        while (is_token_char(*p))
            p++;
        n = (size_t)(p - name);
        p += strspn(p, " \t");
        if (!n || *p != '=')
            return n ? name : NULL;
        p = take_value(p + 1 + strspn(p + 1, " \t"), &value);
        if (p)
            keep(c, a, name, n, &value);
    }
    return p;
}

void challenge_parse(const char *header, arena *a, challenge *ret)
{
    const char *p = str_or(header, "");

    *ret = (challenge){0};
    while (p && *(p = skip_blank(p))) {
        challenge c = {0};
        const char *scheme = p;
        size_t n;

        while (is_token_char(*p))
            p++;
        n = (size_t)(p - scheme);
        if (!n)
            return;
        c.kind = n == 6 && !strncasecmp(scheme, "bearer", n)  ? CHALLENGE_BEARER
                 : n == 5 && !strncasecmp(scheme, "basic", n) ? CHALLENGE_BASIC
                                                              : CHALLENGE_NONE;
        p = take_parameters(p, a, &c);
        if (c.kind > ret->kind)
            *ret = c;
    }
}
