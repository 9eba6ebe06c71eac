/* images.c - the set of images, their layers and names.
 *
 * Memory is the truth, the store makes it survive: images by id with the bytes of their configuration,
 * layers by chain id, names.  A layer goes when no image counts on it; an image when no name, no
 * container and no request holds it.  Loop thread only, except where said. */
#include "private.h"
#include <berth/events.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/rootfs.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_RECORD(F, T)                                                                         \
    F(T, STR, config, "Config", 0)                                                                 \
    F(T, INT, tagged_ns, "Tagged", 0)
JSON_DECLARE(image_record, IMAGE_RECORD)
JSON_DEFINE(image_record, IMAGE_RECORD)
#define LAYER_RECORD(F, T)                                                                         \
    F(T, STR, diff_id, "DiffId", 0)                                                                \
    F(T, STR, parent, "Parent", 0)                                                                 \
    F(T, INT, size, "Size", 0)
JSON_DECLARE(layer_record, LAYER_RECORD)
JSON_DEFINE(layer_record, LAYER_RECORD)
#define TAG_RECORD(F, T) F(T, STR, image, "Image", 0)
JSON_DECLARE(tag_record, TAG_RECORD)
JSON_DEFINE(tag_record, TAG_RECORD)

char *images_root;
static image *images;
static layer *layers;
static bool (*running_hook)(const char *container_id);

/* ---- digests and places (any thread) ---- */

void digest_of(const void *p, size_t n, char out[72])
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_init(&ctx);
    sha256_update(&ctx, n, p);
    sha256_digest(&ctx, sizeof(digest), digest);
    memcpy(out, "sha256:", 7);
    str_hex(digest, sizeof(digest), out + 7);
}

void chain_id_next(const char *parent, const char *diff_id, char out[72])
{
    auto_free char *both = NULL;

    if (!*parent) {
        snprintf(out, 72, "%s", diff_id);
        return;
    }
    both = xasprintf("%s %s", parent, diff_id);
    digest_of(both, strlen(both), out);
}

char *layer_dir(const char *chain_id)
{
    return xasprintf("%s/layers/%s", images_root, chain_id + strlen("sha256:"));
}

void staged_image_done(staged_image *s)
{
    free(s->config_text);
    strv_done(&s->tags);
    for (size_t i = 0; i < s->n_layers; i++)
        free(s->layers[i].dir);
    free(s->layers);
}

/* ---- layers ---- */

layer *layer_find(const char *chain_id)
{
    layer *l = NULL;

    HASH_FIND_STR(layers, chain_id, l);
    return l;
}

static layer *layer_add(const char *chain_id, const char *diff_id, const char *parent, int64_t size)
{
    layer *l = new0(layer);

    snprintf(l->chain_id, sizeof(l->chain_id), "%s", chain_id);
    snprintf(l->diff_id, sizeof(l->diff_id), "%s", diff_id);
    l->parent = xstrdup(parent);
    l->size = size;
    HASH_ADD_STR(layers, chain_id, l);
    return l;
}

static err *job_remove_layer(void *arg)
{
    return tree_remove(arg);
}

static void on_layer_removed(void *arg, err *e)
{
    err_log(e, "files of a removed layer are left");
    free(arg);
}

static void layer_unuse(layer *l, store_batch *b)
{
    if (--l->images)
        return;
    store_delete(b, "layers", l->chain_id);
    job_begin_slow("image.remove-layer", job_remove_layer, layer_dir(l->chain_id), on_layer_removed);
    HASH_DEL(layers, l);
    free(l->parent);
    free(l);
}

/* ---- images ---- */

image *image_by_id(const char *id)
{
    image *img = NULL;

    HASH_FIND_STR(images, id, img);
    return img;
}

image *image_ref(image *img)
{
    img->refs++;
    return img;
}

/* Out of the registry already: what is left is memory and its layers. */
void image_unref(image *img)
{
    store_batch *b;

    if (!img || --img->refs)
        return;
    if (img->removed) {
        b = store_batch_new();
        for (size_t i = img->n_layers; i-- > 0;)
            layer_unuse(img->layers[i], b);
        store_commit_lazy(b);
    }
    free(img->layers);
    free(img->config_text);
    strv_done(&img->tags);
    strv_done(&img->holders);
    arena_free(img->arena);
    free(img);
}

static err *image_decode(const char *id, const char *text, image **ret_img)
{
    image *img = new0(image);
    err *e;

    img->refs = 1;
    img->arena = arena_new();
    snprintf(img->id, sizeof(img->id), "%s", id);
    img->config_text = xstrdup(text);
    e = json_decode(&image_config_json, text, strlen(text), JSON_ANY_VERSION, img->arena, &img->config);
    if (e) {
        image_unref(img);
        return err_wrap(e, "image configuration");
    }
    img->created_ns = TIME_ZERO;
    if (!str_empty(img->config.created))
        err_free(time_parse_rfc3339(img->config.created, &img->created_ns)); /* an odd date counts as none */
    *ret_img = img;
    return NULL;
}

/* Binds the layers by chain id; false when one is missing. */
static bool image_bind_layers(image *img)
{
    const json_strs *ids = &img->config.rootfs.diff_ids;
    char chain[72] = "";

    img->layers = xcalloc(ids->n, sizeof(*img->layers));
    for (size_t i = 0; i < ids->n; i++) {
        char next[72];

        chain_id_next(chain, ids->v[i], next);
        memcpy(chain, next, sizeof(chain));
        img->layers[i] = layer_find(chain);
        if (!img->layers[i])
            return false;
        img->n_layers++;
        img->size += img->layers[i]->size;
    }
    for (size_t i = 0; i < img->n_layers; i++)
        img->layers[i]->images++;
    return true;
}

const char *image_id(const image *img)
{
    return img->id;
}

const image_config *image_config_of(const image *img)
{
    return &img->config;
}

void image_layer_dirs(const image *img, strv *ret_dirs)
{
    for (size_t i = img->n_layers; i-- > 0;) {
        auto_free char *dir = layer_dir(img->layers[i]->chain_id);

        strv_pushf(ret_dirs, "%s/fs", dir);
    }
}

void image_tags(const image *img, arena *a, json_strs *ret)
{
    for (size_t i = 0; i < img->tags.n; i++)
        json_strs_add(ret, a, img->tags.v[i]);
}

unsigned images_count(void)
{
    return HASH_COUNT(images);
}

void images_set_running_hook(bool (*is_running)(const char *container_id))
{
    running_hook = is_running;
}

void image_hold(image *img, const char *container_id)
{
    strv_push(&img->holders, container_id);
}

static void strv_drop(strv *s, const char *item)
{
    for (size_t i = 0; i < s->n; i++) {
        if (str_eq(s->v[i], item)) {
            char *gone = s->v[i];

            s->v[i] = s->v[s->n - 1];
            s->v[s->n - 1] = gone;
            strv_pop(s);
            return;
        }
    }
}

void image_release(image *img, const char *container_id)
{
    if (img)
        strv_drop(&img->holders, container_id);
}

void image_event(const char *action, const char *id, const char *name)
{
    auto_arena *a = arena_new();
    json_map attrs = {0};

    json_map_set(&attrs, a, "name", name);
    event_emit("image", action, id, &attrs);
}

/* ---- finding ---- */

static image *find_tag(const char *familiar)
{
    for (image *img = images; img; img = img->hh.next)
        if (strv_has(&img->tags, familiar))
            return img;
    return NULL;
}

static image *find_prefix(const char *hex)
{
    image *found = NULL;

    for (image *img = images; img; img = img->hh.next) {
        if (!str_starts(img->id + strlen("sha256:"), hex))
            continue;
        if (found)
            return NULL;
        found = img;
    }
    return found;
}

err *image_find(const char *ref, image **ret_img)
{
    const char *hex = str_starts(ref, "sha256:") ? ref + strlen("sha256:") : ref;
    auto_free char *familiar = NULL;
    image *img = NULL;
    reference r;
    err *e;

    if (str_empty(ref))
        return err_new(ERR_INVALID, "invalid reference format");
    if (hex != ref || (strlen(ref) == 64 && id_is_hex(ref))) {
        img = id_is_hex(hex) ? find_prefix(hex) : NULL;
        if (!img)
            return err_new(ERR_NOT_FOUND, "No such image: %s", ref);
        *ret_img = img;
        return NULL;
    }
    e = reference_parse(ref, &r);
    if (!e) {
        familiar = reference_familiar(&r);
        reference_done(&r);
        img = find_tag(familiar);
    }
    if (!img && id_is_hex(ref))
        img = find_prefix(ref);
    if (img) {
        err_free(e);
        *ret_img = img;
        return NULL;
    }
    return e ? e : err_new(ERR_NOT_FOUND, "No such image: %s", familiar);
}

/* ---- publishing ---- */

err *staged_publish(staged_image *list, size_t n)
{
    auto_close int root = -1;

    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < list[k].n_layers; i++) {
            const staged_layer *l = &list[k].layers[i];
            auto_free char *to = layer_dir(l->chain_id);

            if (l->dir && rename(l->dir, to) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
                return err_errno(errno, "rename %s", l->dir);
        }
    }
    root = open(images_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || syncfs(root) < 0)
        return err_errno(errno, "sync %s", images_root);
    return NULL;
}

static void put_image(const image *img, store_batch *b)
{
    image_record rec = {img->config_text, img->tagged_ns};
    auto_buf text = {0};

    json_encode(&image_record_json, &rec, JSON_ANY_VERSION, &text);
    store_put(b, "images", img->id, text.data);
}

static void put_layer(const layer *l, store_batch *b)
{
    layer_record rec = {(char *)l->diff_id, l->parent, l->size};
    auto_buf text = {0};

    json_encode(&layer_record_json, &rec, JSON_ANY_VERSION, &text);
    store_put(b, "layers", l->chain_id, text.data);
}

static void put_tag(image *img, const char *familiar, store_batch *b)
{
    tag_record rec = {img->id};
    auto_buf text = {0};
    image *before = find_tag(familiar);

    if (before && before != img)
        strv_drop(&before->tags, familiar);
    if (!strv_has(&img->tags, familiar))
        strv_push(&img->tags, familiar);
    img->tagged_ns = time_now_ns();
    json_encode(&tag_record_json, &rec, JSON_ANY_VERSION, &text);
    store_put(b, "tags", familiar, text.data);
}

static err *record_one(staged_image *s, store_batch *b)
{
    image *img = image_by_id(s->id);
    const char *parent = "";

    for (size_t i = 0; i < s->n_layers; i++) {
        staged_layer *l = &s->layers[i];

        if (!layer_find(l->chain_id))
            put_layer(layer_add(l->chain_id, l->diff_id, parent, l->size), b);
        parent = l->chain_id;
    }
    if (!img) {
        TRY(image_decode(s->id, s->config_text, &img));
        if (!image_bind_layers(img)) {
            image_unref(img);
            return err_new(ERR_SYSTEM, "a layer of image %s is missing", s->id);
        }
        HASH_ADD_STR(images, id, img);
    }
    for (size_t i = 0; i < s->tags.n; i++)
        put_tag(img, s->tags.v[i], b);
    put_image(img, b);
    return NULL;
}

void staged_record(staged_image *list, size_t n, image_done *done, void *arg)
{
    store_batch *b = store_batch_new();

    for (size_t i = 0; i < n; i++)
        err_log(record_one(&list[i], b), "image could not be recorded");
    store_commit(b, done, arg);
}

void image_tag(image *img, const char *repo, const char *tag, image_done *done, void *arg)
{
    auto_free char *name = xasprintf("%s%s%s", repo, str_empty(tag) ? "" : ":", str_or(tag, ""));
    auto_free char *familiar = NULL;
    store_batch *b;
    reference r;
    err *e = reference_parse(name, &r);

    if (e) {
        done(arg, e);
        return;
    }
    familiar = reference_familiar(&r);
    reference_done(&r);
    b = store_batch_new();
    put_tag(img, familiar, b);
    put_image(img, b);
    image_event("tag", img->id, familiar);
    store_commit(b, done, arg);
}

/* ---- removing ---- */

static const char *short_id(const char *id)
{
    static char out[13];

    snprintf(out, sizeof(out), "%s", str_starts(id, "sha256:") ? id + 7 : id);
    return out;
}

static err *conflict(const char *id, const char *how, const char *why)
{
    return err_new(ERR_CONFLICT, "conflict: unable to delete %s (%s) - %s", short_id(id), how, why);
}

static const char *running_holder(const image *img)
{
    for (size_t i = 0; i < img->holders.n; i++)
        if (running_hook && running_hook(img->holders.v[i]))
            return img->holders.v[i];
    return NULL;
}

/* dockerd's rules: a running user is never overruled, a stopped one and several names only by force. */
static err *may_remove(const image *img, const char *by_name, bool force)
{
    const char *user = running_holder(img);
    auto_free char *why = NULL;

    if (by_name && img->tags.n > 1)
        return NULL;
    if (by_name && img->holders.n && !force) {
        auto_free char *who = xstrdup(short_id(img->holders.v[0]));

        return err_new(ERR_CONFLICT,
                       "conflict: unable to remove repository reference \"%s\" (must force) - container %s is using its "
                       "referenced image %s",
                       by_name, who, short_id(img->id));
    }
    if (user) {
        why = xasprintf("image is being used by running container %s", short_id(user));
        return by_name && force ? NULL : conflict(img->id, "cannot be forced", why);
    }
    if (!by_name && img->tags.n > 1 && !force)
        return conflict(img->id, "must be forced", "image is referenced in multiple repositories");
    if (img->holders.n && !force) {
        why = xasprintf("image is being used by stopped container %s", short_id(img->holders.v[0]));
        return conflict(img->id, "must be forced", why);
    }
    return NULL;
}

typedef struct removing {
    json_list list;
    image_removed *done;
    void *arg;
} removing;

static void on_removed(void *arg, err *e)
{
    removing *r = arg;

    r->done(r->arg, e, &r->list);
    free(r);
}

static void untag(image *img, const char *familiar, arena *a, json_list *list, store_batch *b)
{
    image_deleted *d = json_list_add(list, a, &image_deleted_json);

    d->untagged = arena_strdup(a, familiar);
    store_delete(b, "tags", familiar);
    strv_drop(&img->tags, familiar);
    image_event("untag", img->id, img->id);
}

static void forget(image *img, arena *a, json_list *list, store_batch *b)
{
    image_deleted *d = json_list_add(list, a, &image_deleted_json);

    d->deleted = arena_strdup(a, img->id);
    for (size_t i = img->n_layers; i-- > 0;) {
        if (img->layers[i]->images == 1) {
            d = json_list_add(list, a, &image_deleted_json);
            d->deleted = arena_strdup(a, img->layers[i]->chain_id);
        }
    }
    store_delete(b, "images", img->id);
    HASH_DEL(images, img);
    img->removed = true;
    image_event("delete", img->id, img->id);
}

void image_remove(const char *ref, bool force, bool noprune, arena *a, image_removed *done, void *arg)
{
    auto_free char *by_name = NULL;
    store_batch *b;
    removing *r;
    reference parsed;
    image *img = NULL;
    err *e = image_find(ref, &img);

    (void)noprune; /* images here have no untagged parents that could be kept */
    if (!e) {
        err *not_a_name = reference_parse(ref, &parsed);

        if (!not_a_name) {
            by_name = reference_familiar(&parsed);
            reference_done(&parsed);
            if (!strv_has(&img->tags, by_name))
                free(take(by_name));
        }
        err_free(not_a_name);
        e = may_remove(img, by_name, force);
    }
    if (e) {
        done(arg, e, NULL);
        return;
    }
    r = new0(removing);
    r->done = done;
    r->arg = arg;
    b = store_batch_new();
    if (by_name)
        untag(img, by_name, a, &r->list, b);
    else
        while (img->tags.n)
            untag(img, img->tags.v[0], a, &r->list, b);
    if (!img->tags.n && !img->holders.n) { /* what containers count on stays, without a name */
        forget(img, a, &r->list, b);
        image_unref(img);
    }
    store_commit(b, on_removed, r);
}

/* ---- the answers ---- */

static bool list_wants(const image *img, const filters *f, int64_t before_ns, int64_t since_ns)
{
    size_t n = filters_count(f, "reference");
    bool named = n == 0;

    for (size_t i = 0; i < n && !named; i++) {
        for (size_t t = 0; t < img->tags.n && !named; t++) {
            auto_free char *repo = xstrdup(img->tags.v[t]);
            char *colon = strrchr(repo, ':');

            if (colon)
                *colon = '\0';
            named = filters_glob(filters_nth(f, "reference", i), img->tags.v[t]) ||
                    filters_glob(filters_nth(f, "reference", i), repo);
        }
    }
    if (!named || !filters_match_labels(f, "label", &img->config.config.labels))
        return false;
    if (before_ns != TIME_ZERO && img->created_ns >= before_ns)
        return false;
    return since_ns == TIME_ZERO || img->created_ns > since_ns;
}

static void summarize(const image *img, int api_version, arena *a, image_summary *out)
{
    out->containers = api_version < 51 ? -1 : (int64_t)img->holders.n;
    out->created = img->created_ns == TIME_ZERO ? 0 : img->created_ns / 1000000000;
    out->id = (char *)img->id;
    out->labels = img->config.config.labels;
    image_tags(img, a, &out->repo_tags);
    if (!img->tags.n && api_version < 43) {
        json_strs_add(&out->repo_tags, a, "<none>:<none>");
        json_strs_add(&out->repo_digests, a, "<none>@<none>");
    }
    out->shared_size = -1;
    out->size = out->virtual_size = img->size;
}

static int by_created(const void *x, const void *y)
{
    const image *const *a = x, *const *b = y;

    return ((*b)->created_ns > (*a)->created_ns) - ((*b)->created_ns < (*a)->created_ns);
}

static err *created_of(const filters *f, const char *key, int64_t *ret_ns)
{
    image *img = NULL;

    *ret_ns = TIME_ZERO;
    if (!filters_has(f, key))
        return NULL;
    TRY(image_find(filters_nth(f, key, 0), &img));
    *ret_ns = img->created_ns;
    return NULL;
}

err *images_list(const filters *f, bool all, bool shared_size, int api_version, arena *a, image_summary **ret_list,
                 size_t *ret_n)
{
    image **sorted = arena_alloc(a, (HASH_COUNT(images) + 1) * sizeof(*sorted));
    int64_t before, since;
    bool dangling = false, asked = filters_has(f, "dangling");
    size_t n = 0;

    (void)all; /* there are no intermediate images */
    TRY(created_of(f, "before", &before));
    TRY(created_of(f, "since", &since));
    TRY(filters_bool(f, "dangling", false, &dangling));
    for (image *img = images; img; img = img->hh.next)
        if ((!asked || dangling == (img->tags.n == 0)) && list_wants(img, f, before, since))
            sorted[n++] = img;
    qsort(sorted, n, sizeof(*sorted), by_created);
    *ret_list = arena_alloc(a, (n + 1) * sizeof(**ret_list));
    for (size_t i = 0; i < n; i++) {
        summarize(sorted[i], api_version, a, &(*ret_list)[i]);
        for (size_t l = 0; shared_size && api_version >= 42 && l < sorted[i]->n_layers; l++) {
            int64_t *shared = &(*ret_list)[i].shared_size;

            *shared = *shared < 0 ? 0 : *shared;
            *shared += sorted[i]->layers[l]->images > 1 ? sorted[i]->layers[l]->size : 0;
        }
    }
    *ret_n = n;
    return NULL;
}

static void inspect_layers(const image *img, arena *a, image_inspect *out)
{
    auto_strv dirs = {0};
    auto_buf lower = {0};

    image_layer_dirs(img, &dirs);
    out->graph_driver.name = "overlay2";
    for (size_t i = 1; i < dirs.n; i++)
        buf_printf(&lower, "%s%s", i > 1 ? ":" : "", dirs.v[i]);
    if (lower.len)
        json_map_set(&out->graph_driver.data, a, "LowerDir", lower.data);
    if (dirs.n)
        json_map_set(&out->graph_driver.data, a, "UpperDir", dirs.v[0]);
    out->rootfs.type = "layers";
    for (size_t i = 0; i < img->config.rootfs.diff_ids.n; i++)
        json_strs_add(&out->rootfs.layers, a, img->config.rootfs.diff_ids.v[i]);
}

void image_inspected(const image *img, arena *a, image_inspect *out)
{
    const image_run_config *k = &img->config.config;
    char tagged[TIME_TEXT];

    out->id = (char *)img->id;
    image_tags(img, a, &out->repo_tags);
    out->comment = img->config.comment;
    out->created = str_empty(img->config.created) ? "0001-01-01T00:00:00Z" : img->config.created;
    out->docker_version = img->config.docker_version;
    out->author = img->config.author;
    out->config = (inspect_config){.user = k->user, .exposed_ports = k->exposed_ports, .env = k->env, .cmd = k->cmd,
                                   .healthcheck = k->healthcheck, .args_escaped = k->args_escaped, .volumes = k->volumes,
                                   .working_dir = k->working_dir, .entrypoint = k->entrypoint, .on_build = k->on_build,
                                   .labels = k->labels, .stop_signal = k->stop_signal, .shell = k->shell};
    out->architecture = img->config.architecture;
    out->variant = img->config.variant;
    out->os = img->config.os;
    out->size = out->virtual_size = img->size;
    inspect_layers(img, a, out);
    time_rfc3339(img->tagged_ns ? img->tagged_ns : TIME_ZERO, tagged);
    out->metadata.last_tag_time = arena_strdup(a, tagged);
}

/* ---- start and end ---- */

static err *load_layer(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    layer_record rec = {0};

    (void)arg;
    TRY(json_decode(&layer_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec));
    if (digest_is_valid(key))
        layer_add(key, str_or(rec.diff_id, ""), str_or(rec.parent, ""), rec.size);
    return NULL;
}

static err *load_image(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    image_record rec = {0};
    image *img;

    (void)arg;
    TRY(json_decode(&image_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec));
    TRY(image_decode(key, str_or(rec.config, "{}"), &img));
    img->tagged_ns = rec.tagged_ns;
    if (!image_bind_layers(img)) {
        log_error("an image lacks a layer and is left out", "id", key);
        image_unref(img);
        return NULL;
    }
    HASH_ADD_STR(images, id, img);
    return NULL;
}

static err *load_tag(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    tag_record rec = {0};
    image *img;

    (void)arg;
    TRY(json_decode(&tag_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec));
    if ((img = image_by_id(str_or(rec.image, ""))))
        strv_push(&img->tags, key);
    return NULL;
}

/* Directories that no layer of the store names are what a crash or a removal left. */
static err *sweep_layers(const char *dir)
{
    auto_closedir DIR *d = opendir(dir);
    struct dirent *ent;

    while (d && (ent = readdir(d))) {
        auto_free char *chain = xasprintf("sha256:%s", ent->d_name), *path = xasprintf("%s/%s", dir, ent->d_name);

        if (ent->d_name[0] != '.' && !str_eq(ent->d_name, "init") && !layer_find(chain))
            err_log(tree_remove(path), "a left directory could not be removed");
    }
    return NULL;
}

err *images_init(const char *data_root)
{
    auto_free char *dir = xasprintf("%s/layers", data_root), *tmp = xasprintf("%s/tmp", data_root);

    images_root = xstrdup(data_root);
    TRY(tree_make(dir, 0710));
    TRY(tree_remove(tmp));
    TRY(tree_make(tmp, 0700));
    TRY(store_each("layers", load_layer, NULL));
    TRY(store_each("images", load_image, NULL));
    TRY(store_each("tags", load_tag, NULL));
    TRY(sweep_layers(dir));
    return rootfs_init(data_root);
}

void images_done(void)
{
    image *img, *next;
    layer *l, *next_layer;

    HASH_ITER (hh, images, img, next) {
        HASH_DEL(images, img);
        image_unref(img);
    }
    HASH_ITER (hh, layers, l, next_layer) {
        HASH_DEL(layers, l);
        free(l->parent);
        free(l);
    }
    free(take(images_root));
}
