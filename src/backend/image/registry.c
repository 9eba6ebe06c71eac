/* registry.c - questions to a registry: authority, redirects, "too many requests".
 *
 * A question is at most a few requests, one after the other: without authority, with what the
 * answer's challenge asks for, to where a redirect leads.  Loop thread only, except
 * registry_prepare. */
#include "registry.h"
#include "private.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <stdlib.h>
#include <string.h>

enum {
    REDIRECTS_MAX = 5,
    AUTHORITIES_MAX = 2, /* challenges that are answered */
    BUSY_MAX = 3,        /* "too many requests" that are waited for */
    BUSY_S = 5,          /* how long, when the registry does not say */
    BUSY_MOST_S = 60,
    ERROR_BODY_MAX = 64 << 10,
    KEPT_MS = 60000, /* for an answer that is kept: it is small */
};

struct registry_ask {
    registry *r;
    ask_events ev;
    void *arg;
    arena *arena;
    ask_opts o;
    char *url;      /* where to; begins at the endpoint */
    bool elsewhere; /* another origin: no authority goes there */
    fetch *fetch;
    token_ask *token;
    timer *wait;
    buf body;
    int status;
    unsigned redirects, authorities, busies;
    const char *code;
    bool restarted; /* the fetch's end is not the question's */
    bool freed;
};

/* ---- the repository ---- */

registry *registry_new(const reference *ref, const char *actions, const char *auth, const char *dir)
{
    registry *r = new0(registry);

    r->arena = arena_new();
    r->ref = (reference){.domain = xstrdup(ref->domain), .path = xstrdup(ref->path)};
    r->scope = actions ? xasprintf("repository:%s:%s", ref->path, actions) : xstrdup("");
    r->dir = xstrdup(dir);
    registry_auth_decode(auth, r->arena, &r->auth);
    endpoints_of(ref, &r->endpoints, &r->n_endpoints);
    return r;
}

err *registry_prepare(registry *r)
{
    TRY(fetch_load());
    return certificates_find(r);
}

void registry_free(registry *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_endpoints; i++) {
        endpoint *at = &r->endpoints[i];

        free(at->base);
        free(at->domain);
        free(at->ca);
        free(at->cert);
        free(at->key);
    }
    free(r->endpoints);
    reference_done(&r->ref);
    free(r->scope);
    free(r->token);
    free(r->dir);
    arena_free(r->arena);
    free(r);
}

bool registry_next(registry *r)
{
    if (r->at + 1 >= r->n_endpoints)
        return false;
    r->at++;
    free(take(r->token));
    r->basic = false;
    return true;
}

bool registry_at_mirror(const registry *r)
{
    return r->endpoints[r->at].mirror;
}

/* ---- one request of a question ---- */

static void begin_request(registry_ask *a);

static void on_again(void *arg)
{
    registry_ask *a = arg;

    if (!a->freed)
        begin_request(a);
}

/* The request is given up; the next one begins from the loop. */
static void again(registry_ask *a)
{
    a->restarted = true;
    fetch_free(take(a->fetch));
    buf_truncate(&a->body, 0);
    loop_defer(on_again, a);
}

static void end(registry_ask *a, err *e)
{
    a->ev.on_end(a->arg, e);
}

/* ---- redirects ---- */

static err *redirect(registry_ask *a)
{
    const char *location = fetch_header(a->fetch, "Location");
    fetch_url to = {0}, from = {0};
    err *e;

    if (!location)
        return err_new(ERR_SYSTEM, "the registry redirects to nowhere");
    if (++a->redirects > REDIRECTS_MAX)
        return err_new(ERR_SYSTEM, "the registry redirects too often");
    e = fetch_url_parse(NULL, a->url, &from);
    if (!e)
        e = fetch_url_parse(a->url, location, &to);
    if (!e && str_eq(from.scheme, "https") && !str_eq(to.scheme, "https"))
        e = err_new(ERR_SYSTEM, "the registry redirects to %s without TLS: refused", to.host);
    if (!e) {
        a->elsewhere |= !str_eq(from.scheme, to.scheme) || !str_eq(from.host, to.host) ||
                        !str_eq(from.port, to.port);
        free(a->url);
        a->url = take(to.text);
    }
    fetch_url_done(&from);
    fetch_url_done(&to);
    return e;
}

/* ---- authority ---- */

static void on_token(void *arg, err *e, const char *token)
{
    registry_ask *a = arg;

    if (e) {
        end(a, e);
        return;
    }
    free(a->r->token);
    a->r->token = xstrdup(token);
    token_free(take(a->token));
    begin_request(a);
}

/* Where there is no answer to the challenge, it is the question's own end. */
static err *answer_challenge(registry_ask *a)
{
    registry *r = a->r;
    challenge c;

    if (a->elsewhere || a->authorities++ >= AUTHORITIES_MAX)
        return NULL;
    challenge_parse(fetch_header(a->fetch, "WWW-Authenticate"), a->arena, &c);
    if (c.kind == CHALLENGE_BASIC && !r->basic && !str_empty(r->auth.username) &&
        !registry_at_mirror(r)) {
        r->basic = true;
        again(a);
    } else if (c.kind == CHALLENGE_BEARER && !str_empty(r->auth.registry_token) && !r->token &&
               !registry_at_mirror(r)) {
        r->token = xstrdup(r->auth.registry_token);
        again(a);
    } else if (c.kind == CHALLENGE_BEARER) {
        TRY(token_begin(r, &c, on_token, a, &a->token));
        a->restarted = true;
        fetch_free(take(a->fetch));
        buf_truncate(&a->body, 0);
    }
    return NULL;
}

/* ---- too many requests ---- */

static void on_waited(void *arg)
{
    registry_ask *a = arg;

    timer_stop(take(a->wait));
    begin_request(a);
}

static void wait_for_turn(registry_ask *a)
{
    int64_t seconds = BUSY_S;

    if (a->busies++ >= BUSY_MAX)
        return;
    if (str_to_int64(str_or(fetch_header(a->fetch, "Retry-After"), ""), &seconds) &&
        (seconds < 0 || seconds > BUSY_MOST_S))
        return;
    a->restarted = true;
    fetch_free(take(a->fetch));
    buf_truncate(&a->body, 0);
    a->wait = timer_start("registry.busy", (uint64_t)seconds * 1000, on_waited, a);
}

/* ---- what fetch tells ---- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void on_head(void *arg, int status)
{
    registry_ask *a = arg;
    err *e = NULL;

    a->status = status;
    if (is_redirect(status)) {
        e = redirect(a);
        if (!e)
            again(a);
    } else if (status == 401) {
        e = answer_challenge(a);
    } else if (status == 429) {
        wait_for_turn(a);
    } else if (status / 100 == 2 && a->ev.on_head) {
        a->ev.on_head(a->arg, status);
    }
    if (e) {
        a->restarted = true; /* the fetch's own end says nothing more */
        fetch_free(take(a->fetch));
        end(a, e);
    }
}

static bool on_data(void *arg, const char *p, size_t n)
{
    registry_ask *a = arg;
    size_t most = a->status / 100 == 2 ? a->o.keep : ERROR_BODY_MAX;

    if (a->restarted)
        return true;
    if (a->status / 100 == 2 && !a->o.keep)
        return a->ev.on_data(a->arg, p, n);
    if (a->body.len <= most)
        buf_add(&a->body, p, n);
    if (a->body.len > most && a->status / 100 == 2) {
        a->restarted = true;
        fetch_free(take(a->fetch));
        end(a, err_new(ERR_SYSTEM, "%s is larger than %zu bytes", str_or(a->o.path, "the answer"),
                       most));
    }
    return true;
}

static void on_end(void *arg, err *e)
{
    registry_ask *a = arg;

    if (a->restarted) {
        err_free(e);
        return;
    }
    if (!e && a->status / 100 != 2)
        e = registry_error(a->status, &a->body, a->arena, &a->code);
    end(a, e);
}

static const fetch_events events = {on_head, on_data, on_end};

static void begin_request(registry_ask *a)
{
    registry *r = a->r;
    auto_strv headers = {0};
    fetch_opts o = {.method = a->o.method,
                    .url = a->url,
                    .headers = &headers,
                    .total_ms = a->o.keep ? KEPT_MS : 0};

    strv_push(&headers, "User-Agent: Berth/" BERTH_VERSION);
    if (a->o.accept)
        strv_pushf(&headers, "Accept: %s", a->o.accept);
    if (a->o.from)
        strv_pushf(&headers, "Range: bytes=%lld-", (long long)a->o.from);
    if (!a->elsewhere && r->token)
        strv_pushf(&headers, "Authorization: Bearer %s", r->token);
    if (!a->elsewhere && r->basic) {
        o.user = r->auth.username;
        o.password = r->auth.password;
    }
    endpoint_trust(r, a->url, &o);
    a->restarted = false;
    a->status = 0;
    a->fetch = fetch_begin(&o, &events, a);
}

registry_ask *registry_begin(registry *r, const ask_opts *o, const ask_events *ev, void *arg)
{
    registry_ask *a = new0(registry_ask);

    a->r = r;
    a->ev = *ev;
    a->arg = arg;
    a->arena = arena_new();
    a->code = "";
    a->o = *o;
    a->o.method = arena_strdup(a->arena, o->method);
    a->o.path = arena_strdup(a->arena, o->path);
    a->o.accept = arena_strdup(a->arena, o->accept);
    a->url = o->path ? xasprintf("%s/v2/%s/%s", r->endpoints[r->at].base, r->ref.path, o->path)
                     : xasprintf("%s/v2/", r->endpoints[r->at].base);
    begin_request(a);
    return a;
}

const char *ask_header(const registry_ask *a, const char *name)
{
    return a->fetch ? fetch_header(a->fetch, name) : NULL;
}

const buf *ask_body(const registry_ask *a)
{
    return &a->body;
}

const char *ask_code(const registry_ask *a)
{
    return a->code;
}

void ask_resume(registry_ask *a)
{
    if (a->fetch)
        fetch_resume(a->fetch);
}

static void free_now(void *arg)
{
    registry_ask *a = arg;

    buf_done(&a->body);
    free(a->url);
    arena_free(a->arena);
    free(a);
}

void ask_free(registry_ask *a)
{
    if (!a || a->freed)
        return;
    a->freed = true;
    a->restarted = true;
    fetch_free(take(a->fetch));
    token_free(take(a->token));
    timer_stop(take(a->wait));
    loop_defer(free_now, a);
}
