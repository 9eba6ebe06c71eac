/* layers.c - the layers of all images, by chain id, and their places on disk.
 *
 * A layer's directory has a name of its own that is never used again, so that one being removed and
 * the same one being loaded anew do not meet.  It holds the tree (fs) and what the store says of
 * the layer (layer.json).  A layer goes when nobody uses it; its files only after that.  Loop
 * thread only, except where said. */
#include "private.h"
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYER_RECORD(F, T)                     \
    F(T, STR, chain_id, "ChainId", OMIT_EMPTY) \
    F(T, STR, diff_id, "DiffId", 0)            \
    F(T, STR, parent, "Parent", 0)             \
    F(T, STR, dir, "Dir", OMIT_EMPTY)          \
    F(T, INT, size, "Size", 0)
JSON_DECLARE(layer_record, LAYER_RECORD)
JSON_DEFINE(layer_record, LAYER_RECORD)

enum { RECORD_MAX = 4096, DIR_SUFFIX = 8 };

char *images_root;
static layer *layers;

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

static char *place_of(const char *dir)
{
    return xasprintf("%s/layers/%s", images_root, dir);
}

char *blob_path(const char *id)
{
    return xasprintf("%s/blobs/sha256/%s", images_root, id + strlen("sha256:"));
}

char *layer_fs(const layer *l)
{
    return xasprintf("%s/layers/%s/fs", images_root, l->dir);
}

/* ---- the registry ---- */

layer *layer_find(const char *chain_id)
{
    layer *l = NULL;

    HASH_FIND_STR(layers, chain_id, l);
    return l;
}

static layer *layer_add(const layer_record *rec)
{
    layer *l = new0(layer);

    snprintf(l->chain_id, sizeof(l->chain_id), "%s", rec->chain_id);
    snprintf(l->diff_id, sizeof(l->diff_id), "%s", str_or(rec->diff_id, ""));
    l->parent = xstrdup(str_or(rec->parent, ""));
    l->dir = xstrdup(rec->dir);
    l->size = rec->size;
    HASH_ADD_STR(layers, chain_id, l);
    return l;
}

static void layer_put(const layer *l, store_batch *b)
{
    layer_record rec = {
        .diff_id = (char *)l->diff_id, .parent = l->parent, .dir = l->dir, .size = l->size};
    auto_buf text = {0};

    json_encode(&layer_record_json, &rec, JSON_ANY_VERSION, &text);
    store_put(b, "layers", l->chain_id, text.data);
}

layer *layer_enter(staged_layer *s, const char *parent, store_batch *b)
{
    layer_record rec = {.chain_id = s->chain_id,
                        .diff_id = s->diff_id,
                        .parent = (char *)parent,
                        .dir = s->placed,
                        .size = s->size};
    layer *l = layer_add(&rec);

    layer_put(l, b);
    free(take(s->placed));
    return l;
}

static void layer_free(layer *l)
{
    HASH_DEL(layers, l);
    free(l->parent);
    free(l->dir);
    free(l);
}

void layer_use(layer *l)
{
    l->users++;
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

/* What the record still names when the power goes now is swept at the next start, as nobody uses
 * it. */
void layer_unuse(layer *l)
{
    store_batch *b;

    if (--l->users)
        return;
    b = store_batch_new();
    store_delete(b, "layers", l->chain_id);
    store_commit_lazy(b);
    job_begin_slow("image.remove-layer", job_remove_layer, place_of(l->dir), on_layer_removed);
    layer_free(l);
}

int64_t images_layers_bytes(void)
{
    int64_t n = 0;

    for (const layer *l = layers; l; l = l->hh.next)
        n += l->size;
    return n;
}

void layers_done(void)
{
    layer *l, *next;

    HASH_ITER (hh, layers, l, next)
        layer_free(l);
}

/* ---- publishing (worker threads) ---- */

void staged_image_done(staged_image *s)
{
    free(s->config_text);
    strv_done(&s->tags);
    for (size_t i = 0; i < s->n_layers; i++) {
        free(s->layers[i].dir);
        free(s->layers[i].placed);
    }
    free(s->layers);
}

static err *place_layer(staged_layer *l, const char *parent)
{
    auto_free char *about = xasprintf("%s/layer.json", l->dir), *place = NULL, *name = NULL;
    layer_record rec = {
        .chain_id = l->chain_id, .diff_id = l->diff_id, .parent = (char *)parent, .size = l->size};
    auto_buf text = {0};
    char random[65];

    json_encode(&layer_record_json, &rec, JSON_ANY_VERSION, &text);
    TRY(file_write(about, text.data, text.len, 0600));
    str_random_id(random);
    name = xasprintf("%s.%.*s", l->chain_id + strlen("sha256:"), (int)DIR_SUFFIX, random);
    place = place_of(name);
    if (rename(l->dir, place) < 0)
        return err_errno(errno, "rename %s", l->dir);
    l->placed = take(name);
    return NULL;
}

err *staged_publish(staged_image *list, size_t n)
{
    auto_close int root = -1;

    for (size_t k = 0; k < n; k++) {
        auto_free char *blob = blob_path(list[k].id);

        for (size_t i = 0; i < list[k].n_layers; i++)
            if (list[k].layers[i].dir)
                TRY(place_layer(&list[k].layers[i], i ? list[k].layers[i - 1].chain_id : ""));
        TRY(file_write(blob, list[k].config_text, strlen(list[k].config_text), 0600));
    }
    root = open(images_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || syncfs(root) < 0)
        return err_errno(errno, "sync %s", images_root);
    return NULL;
}

err *staged_withdraw(staged_image *list, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < list[k].n_layers; i++) {
            auto_free char *name = take(list[k].layers[i].placed),
                           *place = name ? place_of(name) : NULL;

            if (place)
                TRY(tree_remove(place));
        }
    }
    return NULL;
}

/* ---- start ---- */

static bool is_there(const layer_record *rec)
{
    auto_free char *fs = xasprintf("%s/layers/%s/fs", images_root, rec->dir);
    struct stat st;

    return !strchr(rec->dir, '/') && rec->dir[0] != '.' && lstat(fs, &st) == 0 &&
           S_ISDIR(st.st_mode);
}

static err *load_layer(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    layer_record rec = {0};

    (void)arg;
    TRY(json_decode(&layer_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec));
    rec.chain_id = (char *)key;
    if (digest_is_valid(key) && str_empty(rec.dir))
        rec.dir = (char *)key + strlen("sha256:");
    if (digest_is_valid(key) && is_there(&rec))
        layer_add(&rec);
    else
        log_error("a layer of the store has no directory", "chain", key);
    return NULL;
}

static err *recover_layer(const char *dir, store_batch *b)
{
    auto_arena *a = arena_new();
    auto_free char *path = xasprintf("%s/layers/%s/layer.json", images_root, dir);
    auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char text[RECORD_MAX];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    layer_record rec = {0};

    if (n < 0)
        return err_errno(errno, "read %s", path);
    TRY(json_decode(&layer_record_json, text, (size_t)n, JSON_ANY_VERSION, a, &rec));
    rec.dir = (char *)dir;
    if (digest_is_valid(rec.chain_id) && !layer_find(rec.chain_id) && is_there(&rec))
        layer_put(layer_add(&rec), b);
    return NULL;
}

static void recover_layers(store_batch *b)
{
    auto_free char *path = place_of("");
    auto_closedir DIR *d = opendir(path);
    struct dirent *ent;

    while (d && (ent = readdir(d)))
        if (ent->d_name[0] != '.' && !str_eq(ent->d_name, "init"))
            err_log(recover_layer(ent->d_name, b), "a layer could not be recovered");
}

err *layers_load(bool rebuilt, store_batch *b)
{
    TRY(store_each("layers", load_layer, NULL));
    if (rebuilt)
        recover_layers(b);
    return NULL;
}

/* Removed on workers: a start does not wait for it, and no new directory has the name of an old
 * one. */
static void sweep_directory(const char *path, const strv *keep)
{
    auto_closedir DIR *d = opendir(path);
    struct dirent *ent;

    while (d && (ent = readdir(d)))
        if (!str_eq(ent->d_name, ".") && !str_eq(ent->d_name, "..") && !strv_has(keep, ent->d_name))
            job_begin_slow("image.sweep", job_remove_layer, xasprintf("%s/%s", path, ent->d_name),
                           on_layer_removed);
}

/* Layers without an image, and directories that no layer owns: what a crash or a removal left. */
void layers_sweep(store_batch *b)
{
    auto_free char *places = place_of(""), *tmp = xasprintf("%s/tmp", images_root);
    auto_strv keep = {0}, none = {0};
    layer *l, *next;

    strv_push(&keep, "init");
    HASH_ITER (hh, layers, l, next) {
        if (l->users) {
            strv_push(&keep, l->dir);
            continue;
        }
        store_delete(b, "layers", l->chain_id);
        layer_free(l);
    }
    sweep_directory(places, &keep);
    sweep_directory(tmp, &none);
}
