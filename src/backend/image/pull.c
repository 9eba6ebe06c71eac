/* pull.c - an image from a registry.
 *
 * Manifest, configuration, then every layer that is not here, each in one pass (pull_layer.c), then
 * all is published and recorded at once, as a load does.  Clients that ask for the same at the same
 * time share one pull; it ends when the last of them has gone.  Loop thread only, except job_*. */
#include "pull.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { INDEX_DEPTH_MAX = 2, LAYERS_AT_ONCE = 64 /* each waits for its turn */ };

static pull *pulls;

/* ---- what clients are told ---- */

static void tell(pull *p, const char *json)
{
    image_pull *c, *next;

    DL_FOREACH_SAFE (p->clients, c, next)
        c->ev.on_said(c->arg, json);
}

static void format_status(buf *line, const char *status, const char *id)
{
    buf_str(line, "{\"status\":");
    json_quote(status, line);
    if (id) {
        buf_str(line, ",\"id\":");
        json_quote(id, line);
    }
    buf_char(line, '}');
}

void pull_say(pull *p, const char *status, const char *id)
{
    auto_buf line = {0};

    format_status(&line, status, id);
    tell(p, line.data);
}

void pull_layer_say(pull_layer *l, const char *status)
{
    auto_buf line = {0};

    l->status = status;
    buf_str(&line, "{\"status\":");
    json_quote(status, &line);
    buf_printf(&line, ",\"progressDetail\":{},\"id\":\"%s\"}", l->id);
    tell(l->pull, line.data);
}

void pull_layer_progress(pull_layer *l)
{
    auto_buf line = {0};

    l->status = "Downloading";
    l->told = l->got;
    buf_printf(&line,
               "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":%lld,\"total\":%lld},"
               "\"id\":\"%s\"}",
               (long long)l->got, (long long)l->what->size, l->id);
    tell(l->pull, line.data);
}

/* ---- questions of this flow ---- */

static void cut_ask(void *st)
{
    pull *p = st;

    ask_free(take(p->ask));
    flow_resume(p->step, err_new(ERR_CANCELLED, "pull was cancelled"));
}

static void step_over(pull *p, err *e)
{
    ask_free(take(p->ask));
    flow_resume(p->step, e);
}

/* ---- the manifest ---- */

static void ask_manifest(pull *p, const char *which);

/* As dockerd words it. */
static err *words_of(const pull *p, const char *code, err *e)
{
    auto_free char *name = reference_familiar_name(&p->ref);

    if (err_kind(e) == ERR_UNAVAILABLE) { /* it is not we who are */
        auto_err *inner = e;

        return err_new(ERR_SYSTEM, "%s", err_message(inner));
    }
    if (str_eq(code, "DENIED"))
        return err_wrap(e,
                        "pull access denied for %s, repository does not exist or may require "
                        "'docker login'",
                        name);
    if (str_eq(code, "MANIFEST_UNKNOWN"))
        return err_wrap(e, "manifest for %s not found", p->familiar);
    if (str_eq(code, "NAME_UNKNOWN"))
        return err_wrap(e, "repository %s not found", name);
    return e;
}

static err *check_digest(const pull *p, const buf *body)
{
    char digest[72];

    digest_of(str_or(body->data, ""), body->len, digest);
    if (*p->wanted && !str_eq(digest, p->wanted))
        return err_new(ERR_SYSTEM, "manifest verification failed for digest %s", p->wanted);
    return NULL;
}

static err *choose(pull *p, const manifest *index)
{
    auto_free char *wanted = platform_text(&p->platform);
    const descriptor *d = manifest_choose(index, &p->platform);

    if (!d)
        return err_new(ERR_NOT_FOUND,
                       "no matching manifest for %s in the manifest list entries: not found",
                       wanted);
    if (++p->depth > INDEX_DEPTH_MAX)
        return err_new(ERR_INVALID, "indexes lie too deep in each other");
    memcpy(p->wanted, d->digest, sizeof p->wanted);
    return NULL;
}

/* NULL with *ret_index when it is one, and the next question is for what was chosen of it. */
static err *take_manifest(pull *p, bool *ret_index)
{
    const buf *body = ask_body(p->ask);
    manifest m;

    TRY(check_digest(p, body));
    if (!*p->digest)
        digest_of(str_or(body->data, ""), body->len, p->digest);
    TRY(manifest_parse(str_or(body->data, ""), body->len, ask_header(p->ask, "Content-Type"),
                       p->arena, &m));
    *ret_index = manifest_is_index(&m);
    if (*ret_index)
        return choose(p, &m);
    p->manifest = m;
    return NULL;
}

/* A mirror that has it not, or a registry that has no TLS, is not the last word. */
static bool ask_elsewhere(pull *p, const err *e)
{
    if (p->depth || !(err_kind(e) == ERR_UNAVAILABLE || registry_at_mirror(p->registry)))
        return false;
    return registry_next(p->registry);
}

static void on_manifest(void *arg, err *e)
{
    pull *p = arg;
    auto_free char *code = xstrdup(ask_code(p->ask));
    bool index = false;

    if (!e)
        e = take_manifest(p, &index);
    if (e && ask_elsewhere(p, e)) {
        err_free(e);
        *p->digest = '\0';
        index = true;
    } else if (e) {
        step_over(p, words_of(p, code, e));
        return;
    }
    if (!index) {
        pull_say(p, arena_printf(p->arena, "Pulling from %s", p->ref.path),
                 str_or(p->ref.digest, p->ref.tag));
        step_over(p, NULL);
        return;
    }
    ask_free(take(p->ask));
    ask_manifest(p, *p->wanted ? p->wanted : p->ref.tag);
}

static void ask_manifest(pull *p, const char *which)
{
    static const ask_events events = {.on_end = on_manifest};
    auto_free char *path = xasprintf("manifests/%s", which);

    p->ask = registry_begin(
        p->registry,
        &(ask_opts){.method = "GET", .path = path, .accept = MANIFEST_TYPES, .keep = MANIFEST_MAX},
        &events, p);
}

static void call_manifest(void *st, flow *f)
{
    pull *p = st;

    p->step = f;
    if (p->ref.digest)
        memcpy(p->wanted, p->ref.digest, strlen(p->ref.digest) + 1);
    ask_manifest(p, str_or(p->ref.digest, p->ref.tag));
    flow_on_cancel(f, cut_ask);
}

/* ---- the configuration ---- */

static err *check_config(const pull *p)
{
    const image_config *c = &p->config;
    platform has = {.os = c->os, .architecture = c->architecture, .variant = c->variant};

    if (c->rootfs.diff_ids.n != p->manifest.layers.n)
        return err_new(ERR_INVALID, "layers from manifest don't match image configuration");
    for (size_t i = 0; i < c->rootfs.diff_ids.n; i++)
        if (!digest_is_valid(c->rootfs.diff_ids.v[i]))
            return err_new(ERR_INVALID, "invalid diff id in the image configuration");
    if (!str_eq(str_or(c->os, "linux"), "linux"))
        return err_new(ERR_INVALID,
                       "image operating system \"%s\" cannot be used on this platform: "
                       "operating system is not supported",
                       c->os);
    if (p->platform_asked && !str_empty(c->architecture) && !platform_runs(&p->platform, &has)) {
        auto_free char *wanted = platform_text(&p->platform);

        return err_new(ERR_NOT_FOUND,
                       "image with reference %s was found but does not provide the "
                       "specified platform (%s)",
                       p->familiar, wanted);
    }
    return NULL;
}

static err *take_config(pull *p)
{
    const buf *body = ask_body(p->ask);

    digest_of(str_or(body->data, ""), body->len, p->staged.id);
    if (!str_eq(p->staged.id, p->manifest.config.digest))
        return err_new(ERR_INVALID, "image config verification failed for digest %s",
                       p->manifest.config.digest);
    p->staged.config_text = xstrndup(str_or(body->data, ""), body->len);
    TRY(err_wrap(json_decode(&image_config_json, p->staged.config_text, body->len, JSON_ANY_VERSION,
                             p->arena, &p->config),
                 "image configuration"));
    return check_config(p);
}

static void on_config(void *arg, err *e)
{
    pull *p = arg;

    step_over(p, e ? e : take_config(p));
}

static void call_config(void *st, flow *f)
{
    static const ask_events events = {.on_end = on_config};
    pull *p = st;
    auto_free char *path = xasprintf("blobs/%s", p->manifest.config.digest);

    p->step = f;
    p->ask = registry_begin(p->registry,
                            &(ask_opts){.method = "GET", .path = path, .keep = IMAGE_CONFIG_MAX},
                            &events, p);
    flow_on_cancel(f, cut_ask);
}

/* ---- the layers ---- */

/* A layer that is here stays here, whoever removes its images meanwhile. */
static bool hold_present(pull *p, const char *chain_id)
{
    layer *l = layer_find(chain_id);

    if (!l)
        return false;
    p->held = xrealloc(p->held, (p->n_held + 1) * sizeof(*p->held));
    p->held[p->n_held++] = l;
    layer_use(l);
    return true;
}

static void plan_layer(pull *p, size_t i, const char *below)
{
    staged_layer *s = &p->staged.layers[i];
    pull_layer *l = &p->layers[i];

    *l = (pull_layer){.pull = p, .what = JSON_AT(p->manifest.layers, descriptor, i), .index = i};
    memcpy(l->id, l->what->digest + strlen("sha256:"), sizeof l->id - 1);
    memcpy(s->diff_id, p->config.rootfs.diff_ids.v[i], sizeof s->diff_id);
    chain_id_next(below, s->diff_id, s->chain_id);
    l->wanted = !hold_present(p, s->chain_id);
    if (!p->present)
        pull_layer_say(l, l->wanted ? "Pulling fs layer" : "Already exists");
}

static err *now_plan(void *st)
{
    pull *p = st;
    auto_free char *name = reference_familiar_name(&p->ref);
    const image *img = image_by_id(p->staged.id), *named = image_by_name(p->familiar);
    size_t n = p->manifest.layers.n;

    p->present = img;
    p->was_current = img && named == img;
    if (!p->ref.digest)
        strv_push(&p->staged.tags, p->familiar);
    strv_pushf(&p->staged.tags, "%s@%s", name, p->digest);
    p->staged.layers = xcalloc(n + 1, sizeof *p->staged.layers);
    p->staged.n_layers = n;
    p->layers = xcalloc(n + 1, sizeof *p->layers);
    for (size_t i = 0; i < n; i++)
        plan_layer(p, i, i ? p->staged.layers[i - 1].chain_id : "");
    return NULL;
}

static void *next_layer(void *st)
{
    pull *p = st;

    while (p->next < p->staged.n_layers) {
        pull_layer *l = &p->layers[p->next++];

        if (l->wanted)
            return pull_layer_begin(l);
    }
    return NULL;
}

/* ---- the whole ---- */

static err *job_stage(void *st)
{
    pull *p = st;

    TRY(tree_make(p->dir, 0700));
    return registry_prepare(p->registry);
}

static err *job_unstage(void *st)
{
    return tree_remove(((pull *)st)->dir);
}

static bool is_new(void *st)
{
    return !((const pull *)st)->present;
}

static err *job_publish(void *st)
{
    return staged_publish(&((pull *)st)->staged, 1);
}

/* Also after success: a layer that another one brought meanwhile is not wanted twice. */
static err *job_tidy(void *st)
{
    pull *p = st;

    TRY(staged_withdraw(&p->staged, p->staged.layers ? 1 : 0));
    return tree_remove(p->dir);
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    staged_record(&((pull *)st)->staged, 1, on_recorded, f);
}

static err *now_announce(void *st)
{
    pull *p = st;
    auto_free char *name = reference_familiar_name(&p->ref);

    pull_say(p, arena_printf(p->arena, "Digest: %s", p->digest), NULL);
    pull_say(p,
             arena_printf(p->arena, "Status: %s %s",
                          p->was_current ? "Image is up to date for" : "Downloaded newer image for",
                          p->familiar),
             NULL);
    image_event("pull", p->familiar, name);
    return NULL;
}

static void pull_free(void *st)
{
    pull *p = st;

    if (!p)
        return;
    for (size_t i = 0; i < p->n_held; i++)
        layer_unuse(p->held[i]);
    free(p->held);
    ask_free(p->ask);
    registry_free(p->registry);
    staged_image_done(&p->staged);
    reference_done(&p->ref);
    free(p->layers);
    free(p->familiar);
    free(p->key);
    free(p->dir);
    arena_free(p->arena);
    free(p);
}

static const flow_step pull_steps[] = {
    {"stage", JOB(job_stage), SLOW_JOB(job_unstage)},
    {"manifest", CALL(call_manifest)},
    {"configuration", CALL(call_config)},
    {"plan", NOW(now_plan)},
    {"layers", EACH(&pull_layer_flow, next_layer, LAYERS_AT_ONCE)},
    {"publish", SLOW_JOB(job_publish), SLOW_JOB(job_tidy), is_new},
    {"record", CALL(call_record)},
    {"tidy", SLOW_JOB(job_tidy)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def pull_flow = {"image.pull", pull_steps, pull_free, HANGUP_UNWIND};

/* Nobody joins it any more. */
static void unlist(pull *p)
{
    if (p->listed)
        HASH_DEL(pulls, p);
    p->listed = false;
}

static void on_pulled(void *arg, void *st, err *e)
{
    pull *p = st;
    image_pull *c, *next;

    (void)arg;
    unlist(p);
    DL_FOREACH_SAFE (p->clients, c, next) {
        DL_DELETE(p->clients, c);
        c->ev.on_end(c->arg, err_copy(e));
        free(c);
    }
    err_free(e);
}

/* ---- what is offered ---- */

static err *reference_of(const pull_opts *o, reference *ret)
{
    auto_free char *name = xstrdup(o->image);
    size_t n = strlen(name);

    if (n && name[n - 1] == ':')
        name[n - 1] = '\0'; /* clients that have no tag send one all the same */
    TRY(reference_parse(name, ret));
    if (digest_is_valid(str_or(o->tag, ""))) {
        free(take(ret->tag));
        free(ret->digest);
        ret->digest = xstrdup(o->tag);
    } else if (!str_empty(o->tag)) {
        TRY(reference_set_tag(ret, o->tag));
    }
    if (ret->digest)
        free(take(ret->tag));
    if (!ret->digest && !ret->tag)
        TRY(reference_set_tag(ret, "latest"));
    return NULL;
}

/* Clients that come late are told what the others were. */
static void catch_up(pull *p, image_pull *c)
{
    auto_buf line = {0};

    if (!p->layers)
        return;
    format_status(&line, arena_printf(p->arena, "Pulling from %s", p->ref.path),
                  str_or(p->ref.digest, p->ref.tag));
    c->ev.on_said(c->arg, line.data);
    for (size_t i = 0; i < p->staged.n_layers; i++) {
        if (!p->layers[i].status)
            continue;
        buf_truncate(&line, 0);
        format_status(&line, p->layers[i].status, p->layers[i].id);
        c->ev.on_said(c->arg, line.data);
    }
}

static err *pull_new(const pull_opts *o, const char *key, reference *ref, pull **ret)
{
    pull *p = new0(pull);
    char id[65];

    p->key = xstrdup(key);
    p->ref = *ref;
    *ref = (reference){0};
    p->familiar = reference_familiar(&p->ref);
    p->arena = arena_new();
    p->platform_asked = !str_empty(o->platform);
    str_random_id(id);
    p->dir = xasprintf("%s/tmp/%.16s", images_root, id);
    p->registry = registry_new(&p->ref, "pull", o->auth, p->dir);
    *ret = p;
    return platform_parse(o->platform, p->arena, &p->platform);
}

err *image_pull_begin(const pull_opts *o, const pull_events *ev, void *arg, image_pull **ret)
{
    auto_free char *familiar = NULL, *key = NULL;
    reference ref = {0};
    image_pull *c;
    pull *p = NULL;
    err *e = reference_of(o, &ref);

    if (e) {
        reference_done(&ref);
        return e;
    }
    familiar = reference_familiar(&ref);
    key = xasprintf("%s %s %s", familiar, str_or(o->platform, ""), str_or(o->auth, ""));
    HASH_FIND_STR(pulls, key, p);
    if (!p) {
        e = pull_new(o, key, &ref, &p);
        if (e) {
            pull_free(p);
            return e;
        }
        HASH_ADD_KEYPTR(hh, pulls, p->key, strlen(p->key), p);
        p->listed = true;
        p->flow = flow_begin(&pull_flow, p, on_pulled, NULL);
    }
    reference_done(&ref);
    c = new0(image_pull);
    c->pull = p;
    c->ev = *ev;
    c->arg = arg;
    *ret = c;
    catch_up(p, c);
    DL_APPEND(p->clients, c);
    return NULL;
}

void image_pull_leave(image_pull *c)
{
    pull *p = c->pull;

    DL_DELETE(p->clients, c);
    free(c);
    if (p->clients)
        return;
    unlist(p);
    flow_cancel(p->flow);
}
