/* private.h - what images and layers are made of, for the files of this room only. */
#ifndef BERTH_IMAGE_PRIVATE_H
#define BERTH_IMAGE_PRIVATE_H

#include <berth/image.h>
#include <berth/store.h>
#include <uthash.h>

enum { IMAGE_CONFIG_MAX = 8 << 20 };

typedef struct layer {
    char chain_id[72]; /* "sha256:..." */
    char diff_id[72];
    char *parent; /* chain id below, "" for the lowest */
    char *dir;    /* name below layers/, never used for another one */
    int64_t size;
    unsigned users; /* images, and loads under way */
    UT_hash_handle hh;
} layer;

struct image {
    unsigned refs;
    char id[72];
    arena *arena;
    char *config_text; /* the very bytes of its digest */
    image_config config;
    layer **layers; /* lowest first */
    size_t n_layers;
    int64_t size, created_ns, tagged_ns;
    strv tags;    /* familiar, with tag */
    strv digests; /* familiar, "busybox@sha256:...": what a registry calls it */
    strv holders; /* containers */
    bool removed; /* with the last reference its layers go too */
    UT_hash_handle hh;
};

/* A layer of an image to be published: unpacked in dir, then in its place; or known already. */
typedef struct staged_layer {
    char diff_id[72], chain_id[72];
    char *dir;    /* staging directory, content in dir/fs; NULL: another one brings the layer */
    char *placed; /* name below layers/, until the registry has taken it */
    int64_t size;
} staged_layer;

typedef struct staged_image {
    char id[72];
    char *config_text;
    strv tags; /* names with tags and with digests */
    staged_layer *layers;
    size_t n_layers;
} staged_image;

extern char *images_root; /* data root */

/* ---- layers.c ---- */
void digest_of(const void *p, size_t n, char out[72]); /* any thread */
void chain_id_next(const char *parent, const char *diff_id, char out[72]);
layer *layer_find(const char *chain_id);
char *layer_fs(const layer *l); /* its content; caller frees */
/* Into memory and b; takes s->placed. */
layer *layer_enter(staged_layer *s, const char *parent, store_batch *b);
void layer_use(layer *l);
void layer_unuse(layer *l); /* the last one removes it */
/* Worker: puts staged layers and configurations in their places and makes them durable. */
must_check err *staged_publish(staged_image *images, size_t n);
/* Worker: removes what was published and not taken. */
must_check err *staged_withdraw(staged_image *images, size_t n);
void staged_image_done(staged_image *s);
char *blob_path(const char *id); /* caller frees; any thread */
/* Start: from the store, or after its loss from the layers' own files; then the unused ones go. */
must_check err *layers_load(bool rebuilt, store_batch *b);
void layers_sweep(store_batch *b);
void layers_done(void);

/* ---- images.c ---- */
extern image *images_all; /* a uthash by id */
image *image_by_id(const char *id);
image *image_by_name(const char *familiar);
/* An image of the bytes of its configuration, bound to its layers; ERR_SYSTEM when one is missing.
 */
must_check err *image_make(const char *id, const char *config_text, image **ret_img);
void image_enter(image *img); /* into memory */
void image_put(const image *img, store_batch *b);
/* Gives img the name, takes it from whoever had it. */
void image_name(image *img, const char *familiar, store_batch *b);
void image_unname(image *img, const char *familiar, store_batch *b);
/* The familiar form of a name to be given; refusal: what is said of one with a digest. */
must_check err *image_new_name(const char *repo, const char *tag, const char *refusal,
                               char **ret_familiar);
/* Enters images, layers and names into memory and the store; done when that is durable. */
void staged_record(staged_image *images, size_t n, image_done *done, void *arg);
/* With the image's labels among the attributes. */
void image_event(const char *action, const char *id, const char *name);

/* ---- recover.c ---- */
void names_changed(void);            /* writes the file that outlives the store, soon */
void images_recover(store_batch *b); /* start, when the store was lost */
void blobs_sweep(void);              /* start: configurations without an image */

/* ---- changes.c: Dockerfile instructions of import ---- */
must_check err *changes_apply(const json_strs *changes, image_run_config *config, arena *a);

#endif
