/* request.c - one request as a handler sees it.
 *
 * A request is referenced by its connection and by its answer; whoever lets go last frees it.  When
 * the client is gone, r->c is NULL and every call does nothing.  Loop thread only. */
#include "conn.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

request *request_new(conn *c)
{
    request *r = new0(request);

    r->refs = 1;
    r->c = c;
    r->server = c->server;
    r->arena = arena_new();
    return r;
}

void request_unref(request *r)
{
    if (--r->refs)
        return;
    buf_done(&r->extra);
    buf_done(&r->body);
    err_free(r->body_error);
    free(r->head.fields);
    free(r->head_text);
    arena_free(r->arena);
    free(r);
}

http_method request_method(const request *r)
{
    return r->method;
}

const char *request_path(const request *r)
{
    return r->target.path;
}

const char *request_uri(const request *r)
{
    return arena_strndup(r->arena, r->head.uri, r->head.uri_len);
}

int request_version(const request *r)
{
    return r->version;
}

arena *request_arena(request *r)
{
    return r->arena;
}

const char *request_param(const request *r, const char *name)
{
    for (size_t i = 0; i < r->match.n; i++)
        if (str_eq(r->match.names[i], name))
            return r->match.values[i];
    return NULL;
}

const char *request_header(const request *r, const char *name)
{
    size_t n;
    const char *value = head_value(&r->head, name, &n);

    return value ? arena_strndup(r->arena, value, n) : NULL;
}

const char *request_query_nth(const request *r, const char *name, size_t i)
{
    for (size_t k = 0; k < r->target.n_query; k++)
        if (str_eq(r->target.query[k].name, name) && i-- == 0)
            return r->target.query[k].value;
    return NULL;
}

const char *request_query(const request *r, const char *name)
{
    return request_query_nth(r, name, 0);
}

bool request_query_bool(const request *r, const char *name, bool otherwise)
{
    static const char *const no[] = {"", "0", "no", "false", "none"};
    const char *value = request_query(r, name);
    auto_free char *trimmed = NULL;
    size_t n;

    if (!value)
        return otherwise;
    value += strspn(value, " \t");
    for (n = strlen(value); n && strchr(" \t", value[n - 1]); n--)
        continue;
    trimmed = xstrndup(value, n);
    for (size_t i = 0; i < COUNT(no); i++)
        if (str_eq_nocase(trimmed, no[i]))
            return false;
    return true;
}

err *request_query_int(const request *r, const char *name, int64_t otherwise, int64_t *ret_n)
{
    const char *value = request_query(r, name);

    if (str_empty(value))
        *ret_n = otherwise;
    else if (!str_to_int64(value, ret_n))
        return err_new(ERR_INVALID, "strconv.Atoi: parsing \"%s\": invalid syntax", value);
    return NULL;
}

bool request_upgrades(const request *r)
{
    return r->head.upgrade;
}

bool request_is_gone(const request *r)
{
    return !r->c;
}

void request_on_gone(request *r, void (*fn)(void *arg), void *arg)
{
    r->on_gone = fn;
    r->gone_arg = arg;
}

void request_gone(request *r)
{
    void (*fn)(void *) = r->on_gone;

    if (r->gone_told)
        return;
    r->gone_told = true;
    r->on_gone = NULL;
    if (fn)
        fn(r->gone_arg);
}

/* ---- the body ---- */

const char *request_body(const request *r, size_t *ret_n)
{
    *ret_n = r->body.len;
    return r->body.len ? r->body.data : "";
}

static err *content_type_check(const request *r)
{
    size_t n, len;
    const char *type = head_value(&r->head, "Content-Type", &n);

    if (!type || !n)
        return err_new(ERR_INVALID,
                       "unsupported Content-Type header (): must be 'application/json'");
    len = strcspn(type, "; \t\r");
    if (len > n)
        len = n;
    if (!memchr(type, '/', len) || len < 3)
        return err_new(ERR_INVALID,
                       "malformed Content-Type header (%.*s): mime: expected slash in media type",
                       (int)n, type);
    if (len != 16 || strncasecmp(type, "application/json", 16) != 0)
        return err_new(ERR_INVALID,
                       "unsupported Content-Type header (%.*s): must be 'application/json'", (int)n,
                       type);
    return NULL;
}

err *request_json(request *r, const json_type *type, bool may_be_empty, void *ret)
{
    size_t n;
    const char *text = request_body(r, &n);

    if (!n && may_be_empty)
        return NULL;
    if (n)
        TRY(content_type_check(r));
    return json_decode(type, text, n, r->version, r->arena, ret);
}

static void on_sink_end(void *arg)
{
    request *r = arg;

    if (r->sink && !r->sink_ended) {
        r->sink_ended = true;
        r->sink->on_end(r->sink_arg, take(r->body_error));
    }
    request_unref(r);
}

static void end_sink_soon(request *r)
{
    r->refs++;
    loop_defer(on_sink_end, r);
}

void request_body_in(request *r, const char *p, size_t n)
{
    if (r->sink && !r->sink_ended)
        r->sink->on_data(r->sink_arg, p, n);
}

void request_body_end(request *r, err *e)
{
    if (r->body_over) {
        err_free(e);
        return;
    }
    r->body_over = true;
    r->body_error = e;
    if (r->sink)
        end_sink_soon(r);
}

void request_body_read(request *r, const body_sink *sink, void *arg)
{
    r->sink = sink;
    r->sink_arg = arg;
    if (r->body_over)
        end_sink_soon(r);
    else if (r->c)
        conn_read_body(r->c);
}

void request_body_pause(request *r, bool paused)
{
    r->body_paused = paused;
    if (r->c)
        conn_body_flow(r->c);
}

void request_body_drop(request *r)
{
    r->sink_ended = true;
    r->body_paused = false;
    if (r->c)
        conn_body_flow(r->c);
}
