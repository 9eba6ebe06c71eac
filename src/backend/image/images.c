/* images.c - the set of images and their names.
 *
 * Memory is the truth, the store makes it survive: images by id with the bytes of their
 * configuration, and names.  An image goes when no name, no container and no request holds it. Loop
 * thread only. */
#include "private.h"
#include <berth/events.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/rootfs.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMAGE_RECORD(F, T)         \
    F(T, STR, config, "Config", 0) \
    F(T, INT, tagged_ns, "Tagged", 0)
JSON_DECLARE(image_record, IMAGE_RECORD)
JSON_DEFINE(image_record, IMAGE_RECORD)
#define TAG_RECORD(F, T) F(T, STR, image, "Image", 0)
JSON_DECLARE(tag_record, TAG_RECORD)
JSON_DEFINE(tag_record, TAG_RECORD)

image *images_all;
static store_batch *start_batch; /* the store is written once all rooms have read from it */

/* ---- one image ---- */

image *image_ref(image *img)
{
    img->refs++;
    return img;
}

void image_unref(image *img)
{
    if (!img || --img->refs)
        return;
    for (size_t i = img->n_layers; img->removed && i-- > 0;)
        layer_unuse(img->layers[i]);
    free(img->layers);
    free(img->config_text);
    strv_done(&img->tags);
    strv_done(&img->digests);
    strv_done(&img->holders);
    arena_free(img->arena);
    free(img);
}

static err *decode_config(image *img)
{
    const char *text = img->config_text;

    TRY(err_wrap(json_decode(&image_config_json, text, strlen(text), JSON_ANY_VERSION, img->arena,
                             &img->config),
                 "image configuration"));
    img->created_ns = TIME_ZERO;
    if (!str_empty(img->config.created))
        err_free(time_parse_rfc3339(img->config.created,
                                    &img->created_ns)); /* an odd date counts as none */
    return NULL;
}

static err *bind_layers(image *img)
{
    const json_strs *ids = &img->config.rootfs.diff_ids;
    char chain[72] = "";

    img->layers = xcalloc(ids->n + 1, sizeof(*img->layers));
    for (size_t i = 0; i < ids->n; i++) {
        char next[72];

        chain_id_next(chain, ids->v[i], next);
        memcpy(chain, next, sizeof(chain));
        img->layers[i] = layer_find(chain);
        if (!img->layers[i])
            return err_new(ERR_SYSTEM, "layer %s of image %s is missing", chain, img->id);
        img->n_layers++;
        img->size += img->layers[i]->size;
    }
    return NULL;
}

err *image_make(const char *id, const char *config_text, image **ret_img)
{
    image *img = new0(image);
    err *e;

    img->refs = 1;
    img->arena = arena_new();
    snprintf(img->id, sizeof(img->id), "%s", id);
    img->config_text = xstrdup(config_text);
    e = decode_config(img);
    if (!e)
        e = bind_layers(img);
    if (e)
        image_unref(img);
    else
        *ret_img = img;
    return e;
}

void image_enter(image *img)
{
    for (size_t i = 0; i < img->n_layers; i++)
        layer_use(img->layers[i]);
    HASH_ADD_STR(images_all, id, img);
}

const char *image_id(const image *img)
{
    return img->id;
}

int64_t image_bytes(const image *img)
{
    return img->size;
}

const image_config *image_config_of(const image *img)
{
    return &img->config;
}

void image_layer_dirs(const image *img, strv *ret_dirs)
{
    for (size_t i = img->n_layers; i-- > 0;) {
        auto_free char *fs = layer_fs(img->layers[i]);

        strv_push(ret_dirs, fs);
    }
}

void image_tags(const image *img, arena *a, json_strs *ret)
{
    for (size_t i = 0; i < img->tags.n; i++)
        json_strs_add(ret, a, img->tags.v[i]);
}

unsigned images_count(void)
{
    return HASH_COUNT(images_all);
}

static void strv_drop(strv *s, const char *item)
{
    for (size_t i = 0; i < s->n; i++) {
        if (str_eq(s->v[i], item)) {
            char *gone = s->v[i];

            memmove(&s->v[i], &s->v[i + 1], (s->n - i - 1) * sizeof(*s->v));
            s->v[s->n - 1] = gone;
            strv_pop(s);
            return;
        }
    }
}

void image_hold(image *img, const char *container_id)
{
    strv_push(&img->holders, container_id);
}

void image_release(image *img, const char *container_id)
{
    if (img)
        strv_drop(&img->holders, container_id);
}

void image_event(const char *action, const char *id, const char *name)
{
    auto_arena *a = arena_new();
    const image *img = str_starts(id, "sha256:") ? image_by_id(id) : image_by_name(id);
    json_map attrs = {0};

    for (size_t i = 0; img && i < img->config.config.labels.n; i++)
        json_map_set(&attrs, a, img->config.config.labels.keys[i],
                     img->config.config.labels.values[i]);
    json_map_set(&attrs, a, "name", name);
    event_emit("image", action, id, &attrs);
}

/* ---- finding ---- */

image *image_by_id(const char *id)
{
    image *img = NULL;

    HASH_FIND_STR(images_all, id, img);
    return img;
}

/* Which of its two lists a name belongs to. */
static strv *names_like(image *img, const char *familiar)
{
    return strchr(familiar, '@') ? &img->digests : &img->tags;
}

image *image_by_name(const char *familiar)
{
    for (image *img = images_all; img; img = img->hh.next)
        if (strv_has(names_like(img, familiar), familiar))
            return img;
    return NULL;
}

/* NULL for none and for several. */
static image *find_prefix(const char *hex)
{
    image *found = NULL;

    for (image *img = images_all; img; img = img->hh.next) {
        if (!str_starts(img->id + strlen("sha256:"), hex))
            continue;
        if (found)
            return NULL;
        found = img;
    }
    return found;
}

static err *find_id(const char *ref, const char *hex, image **ret_img)
{
    image *img = id_is_hex(hex) ? find_prefix(hex) : NULL;

    if (!img)
        return err_new(ERR_NOT_FOUND, "No such image: %s", ref);
    *ret_img = img;
    return NULL;
}

err *image_find(const char *ref, image **ret_img)
{
    auto_free char *familiar = NULL;
    image *img = NULL;
    reference r;
    err *e;

    if (str_starts(ref, "sha256:"))
        return find_id(ref, ref + strlen("sha256:"), ret_img);
    if (strlen(ref) == 64 && id_is_hex(ref)) {
        auto_free char *id = xasprintf("sha256:%s", ref);

        return find_id(id, ref, ret_img);
    }
    e = reference_parse(ref, &r);
    if (!e) {
        familiar = reference_familiar(&r);
        reference_done(&r);
        img = image_by_name(familiar);
    }
    if (!img && id_is_hex(ref))
        img = find_prefix(ref);
    if (!img)
        return e ? e : err_new(ERR_NOT_FOUND, "No such image: %s", familiar);
    err_free(e);
    *ret_img = img;
    return NULL;
}

/* ---- names ---- */

void image_put(const image *img, store_batch *b)
{
    image_record rec = {img->config_text, img->tagged_ns};
    auto_buf text = {0};

    json_encode(&image_record_json, &rec, JSON_ANY_VERSION, &text);
    store_put(b, "images", img->id, text.data);
}

void image_name(image *img, const char *familiar, store_batch *b)
{
    tag_record rec = {img->id};
    auto_buf text = {0};
    image *before = image_by_name(familiar);

    if (before && before != img)
        strv_drop(names_like(before, familiar), familiar);
    if (before != img)
        strv_push(names_like(img, familiar), familiar);
    img->tagged_ns = time_now_ns();
    json_encode(&tag_record_json, &rec, JSON_ANY_VERSION, &text);
    store_put(b, "tags", familiar, text.data);
    names_changed();
}

/* familiar may be the image's own copy of its name. */
void image_unname(image *img, const char *familiar, store_batch *b)
{
    store_delete(b, "tags", familiar);
    strv_drop(names_like(img, familiar), familiar);
    names_changed();
}

static err *check_tag(const reference *r, const char *refusal)
{
    if (r->digest)
        return err_new(ERR_INVALID, "%s", refusal);
    if (str_eq(r->path, "library/sha256") || str_eq(r->path, "sha256"))
        return err_new(ERR_INVALID,
                       "refusing to create an ambiguous tag using digest algorithm as name");
    return NULL;
}

err *image_new_name(const char *repo, const char *tag, const char *refusal, char **ret_familiar)
{
    reference r = {0};
    err *e = reference_parse(repo, &r);

    if (!e)
        e = check_tag(&r, refusal);
    if (!e && !str_empty(tag))
        e = reference_set_tag(&r, tag);
    if (!e)
        *ret_familiar = reference_familiar(&r);
    reference_done(&r);
    return e;
}

void image_tag(image *img, const char *repo, const char *tag, image_done *done, void *arg)
{
    auto_free char *familiar = NULL;
    store_batch *b;
    err *e =
        image_new_name(repo, tag, "refusing to create a tag with a digest reference", &familiar);

    if (e) {
        done(arg, e);
        return;
    }
    b = store_batch_new();
    image_name(img, familiar, b);
    image_put(img, b);
    image_event("tag", img->id, familiar);
    store_commit(b, done, arg);
}

/* ---- new images ---- */

static bool brings(const staged_image *list, size_t n, const char *chain_id)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < list[k].n_layers; i++)
            if (list[k].layers[i].placed && str_eq(list[k].layers[i].chain_id, chain_id))
                return true;
    return false;
}

/* Nothing is entered before it is known that all can be. */
static err *check_layers(const staged_image *list, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < list[k].n_layers; i++)
            if (!layer_find(list[k].layers[i].chain_id) &&
                !brings(list, n, list[k].layers[i].chain_id))
                return err_new(ERR_SYSTEM, "layer %s of image %s is missing",
                               list[k].layers[i].chain_id, list[k].id);
    return NULL;
}

static void enter_layers(staged_image *list, size_t n, store_batch *b)
{
    for (size_t k = 0; k < n; k++) {
        const char *parent = "";

        for (size_t i = 0; i < list[k].n_layers; i++) {
            staged_layer *l = &list[k].layers[i];

            if (l->placed && !layer_find(l->chain_id))
                layer_enter(l, parent, b);
            parent = l->chain_id;
        }
    }
}

static err *record_one(const staged_image *s, store_batch *b)
{
    image *img = image_by_id(s->id);

    if (!img) {
        TRY(image_make(s->id, s->config_text, &img));
        image_enter(img);
    }
    for (size_t i = 0; i < s->tags.n; i++)
        image_name(img, s->tags.v[i], b);
    image_put(img, b);
    return NULL;
}

void staged_record(staged_image *list, size_t n, image_done *done, void *arg)
{
    store_batch *b;
    err *e = check_layers(list, n);

    if (e) {
        done(arg, e);
        return;
    }
    b = store_batch_new();
    enter_layers(list, n, b);
    for (size_t i = 0; i < n && !e; i++)
        e = record_one(&list[i], b);
    if (!e) {
        store_commit(b, done, arg);
        return;
    }
    store_commit_lazy(b); /* of what memory has by now */
    done(arg, e);
}

/* ---- start and end ---- */

static err *load_image(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    image_record rec = {0};
    image *img = NULL;
    err *e;

    (void)arg;
    TRY(json_decode(&image_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec));
    e = image_make(key, str_or(rec.config, "{}"), &img);
    if (e) {
        log_error("an image is left out", "id", key, "why", err_message(e));
        err_free(e);
        return NULL;
    }
    img->tagged_ns = rec.tagged_ns;
    image_enter(img);
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
        strv_push(names_like(img, key), key);
    return NULL;
}

static void commit_start(void *arg)
{
    (void)arg;
    store_commit_lazy(take(start_batch));
}

err *images_init(const char *data_root, bool rebuilt)
{
    auto_free char *dir = xasprintf("%s/layers", data_root), *tmp = xasprintf("%s/tmp", data_root);
    auto_free char *blobs = xasprintf("%s/blobs/sha256", data_root);

    images_root = xstrdup(data_root);
    TRY(tree_make(dir, 0710));
    TRY(tree_make(tmp, 0700));
    TRY(tree_make(blobs, 0700));
    start_batch = store_batch_new();
    TRY(layers_load(rebuilt, start_batch));
    TRY(store_each("images", load_image, NULL));
    TRY(store_each("tags", load_tag, NULL));
    if (rebuilt)
        images_recover(start_batch);
    layers_sweep(start_batch);
    blobs_sweep();
    loop_post(commit_start, NULL);
    return rootfs_init(data_root);
}

void images_done(void)
{
    image *img, *next;

    HASH_ITER (hh, images_all, img, next) {
        HASH_DEL(images_all, img);
        image_unref(img);
    }
    layers_done();
    free(take(images_root));
}
