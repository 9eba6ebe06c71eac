/* middleware.c - what every request passes before its handler: version, cleanliness, route, log.
 *
 * Loop thread only. */
#include "conn.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LOGGED_BODY_MAX = 4 << 10 };

/* ---- the debug log: bodies without their secrets ---- */

static bool is_secret(const char *key, size_t n)
{
    static const char *const words[] = {"password",      "passphrase",      "secret",
                                        "jointoken",     "unlockkey",       "signingcakey",
                                        "identitytoken", "registrytoken",   "auth",
                                        "data",          "x-registry-auth", "x-registry-config"};

    if (memchr(key, '\\', n)) /* written so that we would have to decode it first */
        return true;
    for (size_t i = 0; i < COUNT(words); i++)
        if (strlen(words[i]) == n && strncasecmp(words[i], key, n) == 0)
            return true;
    return false;
}

/* The end of the string literal at p (p points at its opening quote). */
static const char *string_end(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

/* The end of the JSON value at p, whatever it is. */
static const char *value_end(const char *p)
{
    unsigned depth = 0;

    for (; *p; p = *p == '"' ? string_end(p) : p + 1) {
        if (strchr("{[", *p))
            depth++;
        else if (strchr("}],", *p) && !depth)
            break;
        else if (strchr("}]", *p))
            depth--;
    }
    return p;
}

/* Copies JSON text; the value of a secret key becomes "*****". */
static void mask(const char *p, buf *out)
{
    while (*p) {
        const char *end = *p == '"' ? string_end(p) : p + 1;
        const char *colon = end + strspn(end, " \t\r\n");

        buf_add(out, p, (size_t)(end - p));
        if (*p == '"' && *colon == ':' && end - p >= 2 && is_secret(p + 1, (size_t)(end - p - 2))) {
            buf_str(out, ":\"*****\"");
            end = value_end(colon + 1);
        }
        p = end;
    }
}

void middleware_log(const request *r)
{
    auto_buf text = {0};

    if (log_get_level() < LOG_LEVEL_DEBUG)
        return;
    buf_printf(&text, "Calling %s %s", method_name(r->method), request_uri(r));
    if (r->body.len && r->body.len <= LOGGED_BODY_MAX) {
        auto_buf body = {0};

        mask(r->body.data, &body);
        log_debug(text.data, "body", body.data);
    } else {
        log_debug(text.data);
    }
}

/* ---- version ---- */

static int compare_version(const target *t, int minor)
{
    if (t->major != 1)
        return t->major < 1 ? -1 : 1;
    return t->minor < minor ? -1 : t->minor > minor;
}

static bool version_fits(request *r)
{
    const http_opts *o = &r->server->opts;
    auto_free char *text = NULL;

    r->version = o->api_max;
    if (!r->target.has_version)
        return true;
    if (compare_version(&r->target, o->api_max) > 0) {
        reply_error(r,
                    err_new(ERR_INVALID,
                            "client version %s is too new. Maximum supported API version is 1.%d",
                            r->target.version, o->api_max));
        return false;
    }
    if (compare_version(&r->target, o->api_min) < 0) {
        text = xasprintf("client version %s is too old. Minimum supported API version is 1.%d, "
                         "please upgrade your client to a "
                         "newer version\n",
                         r->target.version, o->api_min);
        reply_bytes(r, 400, "text/plain; charset=utf-8", text, strlen(text));
        return false;
    }
    r->version = r->target.minor;
    return true;
}

static bool route_is_old_enough(request *r)
{
    int since = (int)(r->match.route->flags >> 8 & 0xFF);

    if (r->version >= since)
        return true;
    reply_error(r, err_new(ERR_INVALID, "%s %s requires minimum API version 1.%d",
                           method_name(r->method), r->target.path, since));
    return false;
}

/* dockerd's mux sends readers to the clean path; nothing is ever served through it. */
static void redirect(request *r)
{
    if (r->method == GET) {
        reply_header(r, "Location", r->target.clean_path);
        reply_bytes(r, 301, "text/plain; charset=utf-8", "Moved Permanently\n", 18);
    } else {
        reply_error(r, err_new(ERR_NOT_FOUND, "page not found"));
    }
}

bool middleware_find(request *r)
{
    if (!version_fits(r))
        return false;
    if (r->method == OPTIONS) {
        reply_empty(r, 200);
        return false;
    }
    if (r->target.clean_path) {
        redirect(r);
        return false;
    }
    if (!router_find(r->server->router, r->method, &r->target, r->arena, &r->match)) {
        if (r->method == HEAD)
            reply_empty(r, 404);
        else
            reply_error(r, err_new(ERR_NOT_FOUND, "page not found"));
        return false;
    }
    return route_is_old_enough(r);
}

void middleware_route(request *r)
{
    err *e = r->server->opts.before ? r->server->opts.before(r) : NULL;

    middleware_log(r);
    if (e)
        reply_error(r, e);
    else
        r->match.route->handler(r);
}
