/* registry_token.c - a token from the server that a registry names (the Docker token protocol, and
 * its OAuth2 form for identity tokens), and the words of registries.  Loop thread only. */
#include "private.h"
#include "registry.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_ANSWER(F, T)       \
    F(T, STR, token, "token", 0) \
    F(T, STR, access_token, "access_token", 0)
JSON_DECLARE(token_answer, TOKEN_ANSWER)
JSON_DEFINE(token_answer, TOKEN_ANSWER)

#define REGISTRY_FAULT(F, T)   \
    F(T, STR, code, "code", 0) \
    F(T, STR, message, "message", 0)
JSON_DECLARE(registry_fault, REGISTRY_FAULT)
JSON_DEFINE(registry_fault, REGISTRY_FAULT)
#define REGISTRY_FAULTS(F, T)                       \
    F(T, OBJS(registry_fault), errors, "errors", 0) \
    F(T, STR, details, "details", 0)                \
    F(T, STR, message, "message", 0)
JSON_DECLARE(registry_faults, REGISTRY_FAULTS)
JSON_DEFINE(registry_faults, REGISTRY_FAULTS)

enum { TOKEN_MAX = 1 << 20, TOKEN_MS = 30000, MESSAGE_MAX = 1000 };

/* ---- the words of registries ---- */

static const char *words_of(int status)
{
    static const struct {
        int status;
        const char *words;
    } known[] = {{400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};

    for (size_t i = 0; i < COUNT(known); i++)
        if (known[i].status == status)
            return known[i].words;
    return "";
}

static err_class class_of(const char *code)
{
    return str_eq(code, "DENIED") || str_eq(code, "MANIFEST_UNKNOWN") ||
                   str_eq(code, "NAME_UNKNOWN")
               ? ERR_NOT_FOUND
               : ERR_SYSTEM;
}

err *registry_error(int status, const buf *body, arena *a, const char **ret_code)
{
    registry_faults all = {0};
    err *bad = json_decode(&registry_faults_json, str_or(body->data, ""), body->len,
                           JSON_ANY_VERSION, a, &all);
    const registry_fault *f = !bad && all.errors.n ? JSON_AT(all.errors, registry_fault, 0) : NULL;
    char *words;

    *ret_code = "";
    err_free(bad);
    if (f && !str_empty(f->code)) {
        *ret_code = f->code;
        words = arena_strndup(a, f->code, MESSAGE_MAX);
        for (char *p = words; *p; p++)
            *p = *p == '_' ? ' ' : (char)(*p >= 'A' && *p <= 'Z' ? *p | 32 : *p);
        return err_new(class_of(f->code), "%s: %.*s", words, MESSAGE_MAX,
                       str_or(f->message, "unknown error"));
    }
    if (status == 401 || status == 403)
        return err_new(ERR_SYSTEM, "%s",
                       status == 401 ? "unauthorized: authentication required"
                                     : "denied: requested access to the resource "
                                       "is denied");
    if (status == 429)
        return err_new(ERR_SYSTEM, "toomanyrequests: %.*s", MESSAGE_MAX,
                       str_or(str_or(all.message, all.details), "too many requests"));
    return err_new(ERR_SYSTEM, "received unexpected HTTP status: %d %s", status, words_of(status));
}

/* ---- the token ---- */

struct token_ask {
    registry *r;
    fetch *fetch;
    buf body;
    int status;
    bool too_large;
    void (*done)(void *arg, err *e, const char *token);
    void *arg;
};

static void on_head(void *arg, int status)
{
    ((token_ask *)arg)->status = status;
}

static bool on_data(void *arg, const char *p, size_t n)
{
    token_ask *t = arg;

    t->too_large |= t->body.len + n > TOKEN_MAX;
    if (!t->too_large)
        buf_add(&t->body, p, n);
    return true;
}

static err *read_token(const token_ask *t, arena *a, const char **ret_token)
{
    token_answer answer = {0};
    const char *code;

    if (t->status / 100 == 3)
        return err_new(ERR_SYSTEM, "the token server redirects: refused");
    if (t->status != 200)
        return registry_error(t->status, &t->body, a, &code);
    if (t->too_large)
        return err_new(ERR_SYSTEM, "the token server's answer is too large");
    TRY(err_wrap(json_decode(&token_answer_json, str_or(t->body.data, ""), t->body.len,
                             JSON_ANY_VERSION, a, &answer),
                 "unable to decode token response"));
    *ret_token = str_or(answer.token, answer.access_token);
    if (str_empty(*ret_token) || strpbrk(*ret_token, "\r\n"))
        return err_new(ERR_SYSTEM, "authorization server did not include a token in the response");
    return NULL;
}

static void on_end(void *arg, err *e)
{
    token_ask *t = arg;
    auto_arena *a = arena_new();
    const char *token = NULL;

    if (!e)
        e = read_token(t, a, &token);
    t->done(t->arg, e, token);
}

static const fetch_events events = {on_head, on_data, on_end};

static void add_query(buf *url, char joiner, const char *name, const char *value)
{
    if (str_empty(value))
        return;
    buf_printf(url, "%c%s=", joiner, name);
    for (const char *p = value; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~", *p);

        if (plain)
            buf_char(url, *p);
        else
            buf_printf(url, "%%%02X", (unsigned char)*p);
    }
}

/* Whether name and password may go there, and that no https registry is asked over http. */
static err *check_realm(const registry *r, const char *realm, bool *ret_trusted)
{
    const endpoint *at = &r->endpoints[r->at];
    fetch_url to = {0}, from = {0};
    err *e = fetch_url_parse(NULL, str_or(realm, ""), &to);

    if (!e)
        e = fetch_url_parse(NULL, at->base, &from);
    if (!e && str_eq(to.scheme, "http") && !str_eq(from.scheme, "http"))
        e = err_new(ERR_SYSTEM, "the token server of %s does not use TLS: refused", at->base);
    if (!e) {
        *ret_trusted = !at->mirror && fetch_same_site(to.host, from.host);
        if (!*ret_trusted && !at->mirror && (r->auth.username || r->auth.identity_token))
            log_warn("credentials are not sent to a token server of another site", "registry",
                     from.host, "server", to.host);
    }
    fetch_url_done(&to);
    fetch_url_done(&from);
    return e;
}

err *token_begin(registry *r, const challenge *c,
                 void (*done)(void *arg, err *e, const char *token), void *arg, token_ask **ret)
{
    auto_buf url = {0}, form = {0};
    auto_strv headers = {0};
    bool trusted = false;
    token_ask *t;
    fetch_opts o = {.method = "GET", .total_ms = TOKEN_MS, .headers = &headers};

    TRY(check_realm(r, c->realm, &trusted));
    buf_str(&url, c->realm);
    strv_push(&headers, "User-Agent: Berth/" BERTH_VERSION);
    if (trusted && !str_empty(r->auth.identity_token)) {
        o.method = "POST";
        buf_str(&form, "grant_type=refresh_token&client_id=berth");
        add_query(&form, '&', "service", c->service);
        add_query(&form, '&', "scope", r->scope);
        add_query(&form, '&', "refresh_token", r->auth.identity_token);
        strv_push(&headers, "Content-Type: application/x-www-form-urlencoded");
        o.body = form.data;
        o.body_n = form.len;
    } else {
        add_query(&url, strchr(c->realm, '?') ? '&' : '?', "service", c->service);
        add_query(&url, strchr(url.data, '?') ? '&' : '?', "scope", r->scope);
        if (trusted && !str_empty(r->auth.username)) {
            add_query(&url, strchr(url.data, '?') ? '&' : '?', "account", r->auth.username);
            o.user = r->auth.username;
            o.password = r->auth.password;
        }
    }
    o.url = url.data;
    endpoint_trust(r, o.url, &o);
    t = new0(token_ask);
    t->r = r;
    t->done = done;
    t->arg = arg;
    t->fetch = fetch_begin(&o, &events, t);
    *ret = t;
    return NULL;
}

void token_free(token_ask *t)
{
    if (!t)
        return;
    fetch_free(t->fetch);
    buf_done(&t->body);
    free(t);
}
