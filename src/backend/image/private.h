/* private.h - what images and layers are made of, for the files of this room only. */
#ifndef BERTH_IMAGE_PRIVATE_H
#define BERTH_IMAGE_PRIVATE_H

#include <berth/image.h>
#include <berth/store.h>
#include <uthash.h>

typedef struct layer {
    char chain_id[72]; /* "sha256:..." */
    char diff_id[72];
    char *parent;      /* chain id below, "" for the lowest */
    int64_t size;
    unsigned images;   /* how many count on it */
    UT_hash_handle hh;
} layer;

struct image {
    unsigned refs;
    char id[72];
    arena *arena;
    char *config_text; /* the very bytes of its digest */
    image_config config;
    layer **layers;    /* lowest first */
    size_t n_layers;
    int64_t size, created_ns, tagged_ns;
    strv tags;         /* familiar, with tag */
    strv holders;      /* containers */
    bool removed;
    UT_hash_handle hh;
};

/* A layer of an image to be published: staged in dir, or known already. */
typedef struct staged_layer {
    char diff_id[72], chain_id[72];
    char *dir;         /* its content is dir/fs; NULL: the layer is there */
    int64_t size;
} staged_layer;

typedef struct staged_image {
    char id[72];
    char *config_text;
    strv tags;
    staged_layer *layers;
    size_t n_layers;
} staged_image;

extern char *images_root; /* data root */

layer *layer_find(const char *chain_id);
char *layer_dir(const char *chain_id);          /* caller frees; any thread */
void chain_id_next(const char *parent, const char *diff_id, char out[72]);
void digest_of(const void *p, size_t n, char out[72]);
void staged_image_done(staged_image *s);

/* Worker: moves staged layers to their places and makes them durable. */
must_check err *staged_publish(staged_image *images, size_t n);
/* Loop: enters images, layers and tags into memory and the store; done when that is durable. */
void staged_record(staged_image *images, size_t n, image_done *done, void *arg);
image *image_by_id(const char *id);
void image_event(const char *action, const char *id, const char *name);

/* ---- changes.c: Dockerfile instructions of import ---- */
must_check err *changes_apply(const json_strs *changes, image_run_config *config, arena *a);

#endif
