/* look.c - a question to a registry without a pull: what a name stands for there, and whether it
 * knows a name and password.  Loop thread only, except job_*. */
#include "intake.h"
#include "manifest.h"
#include "private.h"
#include "registry.h"
#include <berth/flow.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <stdlib.h>
#include <string.h>

typedef struct looking {
    arena *arena;
    reference ref;
    registry *registry;
    registry_ask *ask;
    flow *step;
    char *dir, *config; /* the digest of a manifest's configuration; NULL: an index has none */
    bool login;
    distribution_inspect answer;
    registry_looked *done;
    void *arg;
} looking;

static err *job_stage(void *st)
{
    looking *l = st;

    TRY(tree_make(l->dir, 0700));
    return registry_prepare(l->registry);
}

static err *job_unstage(void *st)
{
    return tree_remove(((looking *)st)->dir);
}

static void cut_ask(void *st)
{
    looking *l = st;

    ask_free(take(l->ask));
    flow_resume(l->step, err_new(ERR_CANCELLED, "given up"));
}

/* ---- the manifest ---- */

static void add_platform(looking *l, const platform *p)
{
    *(platform *)json_list_add(&l->answer.platforms, l->arena, &platform_json) = *p;
}

static err *take_manifest(looking *l)
{
    const buf *body = ask_body(l->ask);
    const char *type = ask_header(l->ask, "Content-Type");
    char digest[72];
    manifest m;

    digest_of(str_or(body->data, ""), body->len, digest);
    if (l->ref.digest && !str_eq(l->ref.digest, digest))
        return err_new(ERR_SYSTEM, "manifest verification failed for digest %s", l->ref.digest);
    TRY(manifest_parse(str_or(body->data, ""), body->len, type, l->arena, &m));
    l->answer.descriptor =
        (descriptor){.digest = arena_strdup(l->arena, digest),
                     .size = (int64_t)body->len,
                     .media_type = arena_strdup(l->arena, str_or(m.media_type, type))};
    for (size_t i = 0; i < m.manifests.n; i++)
        add_platform(l, &JSON_AT(m.manifests, descriptor, i)->platform);
    if (!manifest_is_index(&m))
        l->config = m.config.digest;
    return NULL;
}

static void ask_manifest(looking *l);

static void on_manifest(void *arg, err *e)
{
    looking *l = arg;

    if (!e && !l->login)
        e = take_manifest(l);
    if (e && (err_kind(e) == ERR_UNAVAILABLE || registry_at_mirror(l->registry)) &&
        registry_next(l->registry)) {
        err_free(e);
        ask_free(take(l->ask));
        ask_manifest(l);
        return;
    }
    if (e && l->login && strstr(err_message(e), "unauthorized"))
        e = err_wrap(e, "login attempt to %s/v2/ failed", l->ref.domain);
    ask_free(take(l->ask));
    flow_resume(l->step, e);
}

static void ask_manifest(looking *l)
{
    static const ask_events events = {.on_end = on_manifest};
    auto_free char *path =
        xasprintf("manifests/%s", str_or(l->ref.digest, str_or(l->ref.tag, "latest")));

    l->ask = registry_begin(l->registry,
                            &(ask_opts){.method = "GET",
                                        .path = l->login ? NULL : path,
                                        .accept = l->login ? NULL : MANIFEST_TYPES,
                                        .keep = MANIFEST_MAX},
                            &events, l);
}

static void call_manifest(void *st, flow *f)
{
    looking *l = st;

    l->step = f;
    ask_manifest(l);
    flow_on_cancel(f, cut_ask);
}

/* ---- the platform of a manifest alone is in its configuration ---- */

static bool has_config(void *st)
{
    return ((const looking *)st)->config;
}

static void on_config(void *arg, err *e)
{
    looking *l = arg;
    const buf *body = ask_body(l->ask);
    char digest[72];
    platform p = {0};

    digest_of(str_or(body->data, ""), body->len, digest);
    if (!e && !str_eq(digest, l->config))
        e = err_new(ERR_SYSTEM, "image config verification failed for digest %s", l->config);
    if (!e)
        e = json_decode(&platform_json, body->data, body->len, JSON_ANY_VERSION, l->arena, &p);
    if (!e)
        add_platform(l, &p);
    ask_free(take(l->ask));
    flow_resume(l->step, e);
}

static void call_config(void *st, flow *f)
{
    static const ask_events events = {.on_end = on_config};
    looking *l = st;
    auto_free char *path = xasprintf("blobs/%s", l->config);

    l->step = f;
    l->ask = registry_begin(l->registry,
                            &(ask_opts){.method = "GET", .path = path, .keep = IMAGE_CONFIG_MAX},
                            &events, l);
    flow_on_cancel(f, cut_ask);
}

/* ---- the flow ---- */

static void looking_free(void *st)
{
    looking *l = st;

    if (!l)
        return;
    ask_free(l->ask);
    registry_free(l->registry);
    reference_done(&l->ref);
    free(l->dir);
    arena_free(l->arena);
    free(l);
}

static const flow_step look_steps[] = {
    {"stage", JOB(job_stage), JOB(job_unstage)},
    {"manifest", CALL(call_manifest)},
    {"configuration", CALL(call_config), .when = has_config},
    {"unstage", JOB(job_unstage)},
    {0},
};
const flow_def look_flow = {"image.look", look_steps, looking_free, HANGUP_UNWIND};

static void on_looked(void *arg, void *st, err *e)
{
    const looking *l = st;

    (void)arg;
    if (e && err_kind(e) == ERR_UNAVAILABLE) { /* it is not we who are */
        auto_err *inner = e;

        e = err_new(ERR_SYSTEM, "%s", err_message(inner));
    }
    l->done(l->arg, e, &l->answer);
}

static void begin(looking *l, const char *actions, const char *auth, registry_looked *done,
                  void *arg)
{
    char id[65];

    str_random_id(id);
    l->dir = xasprintf("%s/tmp/%.16s", images_root, id);
    l->registry = registry_new(&l->ref, actions, auth, l->dir);
    l->done = done;
    l->arg = arg;
    flow_begin(&look_flow, l, on_looked, NULL);
}

static looking *looking_new(void)
{
    looking *l = new0(looking);

    l->arena = arena_new();
    return l;
}

err *registry_look(const char *name, const char *auth, registry_looked *done, void *arg)
{
    looking *l = looking_new();
    err *e = reference_parse(name, &l->ref);

    if (!e && !l->ref.tag && !l->ref.digest)
        e = reference_set_tag(&l->ref, "latest");
    if (e) {
        looking_free(l);
        return e;
    }
    begin(l, "pull", auth, done, arg);
    return NULL;
}

/* "https://index.docker.io/v1/" is what clients call Docker Hub. */
static char *domain_of(const char *server)
{
    const char *scheme = strstr(server, "://"), *host = scheme ? scheme + 3 : server;
    auto_free char *bare = xstrndup(host, strcspn(host, "/"));

    if (!*bare || str_ends(bare, "docker.io") || str_ends(bare, "docker.com"))
        return xstrdup("docker.io");
    return take(bare);
}

err *registry_login(const char *server, const char *auth, registry_looked *done, void *arg)
{
    looking *l = looking_new();
    auto_free char *domain = domain_of(server), *name = xasprintf("%s/login", domain);
    err *e = reference_parse(name, &l->ref);

    if (e) {
        looking_free(l);
        return e;
    }
    l->login = true;
    begin(l, NULL, auth, done, arg);
    return NULL;
}
