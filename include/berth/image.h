/* image.h - images: a configuration file by digest, layers by chain id, names. Loop thread only. */
#ifndef BERTH_IMAGE_H
#define BERTH_IMAGE_H

#include <berth/api/image.h>
#include <berth/err.h>
#include <berth/filters.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct image image;

/* Reads what the store knows, or after its loss (rebuilt, as store_open told) what the files say,
 * and removes what nobody owns; blocks; after store_open. */
must_check err *images_init(const char *data_root, bool rebuilt);
void images_done(void);
unsigned images_count(void);

/* A name, a name with tag or digest, an id or a unique prefix of one; 404 "No such image:
 * x:latest". */
must_check err *image_find(const char *ref, image **ret_img);
image *image_ref(image *img);
void image_unref(image *img);           /* NULL is fine */
const char *image_id(const image *img); /* "sha256:..." */
const image_config *image_config_of(const image *img);
int64_t image_bytes(const image *img); /* of all its layers */
int64_t images_layers_bytes(void);     /* of all layers there are */
/* The layers' directories, topmost first. */
void image_layer_dirs(const image *img, strv *ret_dirs);

/* A container keeps an image's layers, whatever becomes of its names. */
void image_hold(image *img, const char *container_id);
void image_release(image *img, const char *container_id);
/* Who says whether a container that holds an image runs: for the words of a refused removal. */
void images_set_running_hook(bool (*is_running)(const char *container_id));

/* ---- the answers ---- */
must_check err *images_list(const filters *f, bool all, bool shared_size, int api_version, arena *a,
                            image_summary **ret_list, size_t *ret_n);
void image_inspected(const image *img, arena *a, image_inspect *ret);
void image_tags(const image *img, arena *a, json_strs *ret);
void image_histories(const image *img, arena *a,
                     json_list *ret); /* of image_history_item, newest first */

/* ---- changes; done on the loop ---- */
typedef void image_done(void *arg, err *e);
/* Adds a name; an image that had it loses it.  Durable before done. */
void image_tag(image *img, const char *repo, const char *tag, image_done *done, void *arg);
/* ret_list is of image_deleted and lives in a. */
typedef void image_removed(void *arg, err *e, const json_list *ret_list);
void image_remove(const char *ref, bool force, bool noprune, arena *a, image_removed *done,
                  void *arg);

typedef void images_pruned_done(void *arg, err *e, const images_pruned *pruned);
/* Filters: dangling (true: those without a name alone), until, label, label!.  ERR_CONFLICT while
 * another prune runs; pruned is done's for the call, which is never from within this one. */
must_check err *images_prune(const filters *f, images_pruned_done *done, void *arg);

/* ---- import and load: bytes of a tar are pushed in ---- */
typedef struct image_intake image_intake;
typedef struct intake_events {
    void (*on_drain)(void *arg);                  /* intake_write returned false before */
    void (*on_said)(void *arg, const char *line); /* "Loaded image: x:latest\n" of a load */
    void (*on_end)(void *arg, err *e,
                   const char *id); /* the image's id, of an import; last callback */
} intake_events;
typedef struct import_opts {
    const char *repo, *tag, *message, *platform; /* "" where not said */
    const json_strs *changes;                    /* Dockerfile instructions */
} import_opts;
must_check err *image_import(const import_opts *opts, const intake_events *ev, void *arg,
                             image_intake **ret);
must_check err *image_load(const intake_events *ev, void *arg, image_intake **ret);
bool intake_write(image_intake *in, const char *p,
                  size_t n);          /* false: wait for on_drain (p was taken) */
void intake_end(image_intake *in);    /* the tar is complete */
void intake_cancel(image_intake *in); /* no further callback; everything staged is removed */

/* ---- commit: what is in a directory of an overlay becomes a layer ---- */
typedef struct commit_opts { /* copied */
    image *parent;
    const char *upper;                                      /* the overlay's upper directory */
    const image_run_config *run;                            /* of the new image */
    const json_strs *changes;                               /* Dockerfile instructions */
    const char *repo, *tag, *comment, *author, *created_by; /* "" where not said */
} commit_opts;
typedef void image_committed(void *arg, err *e, const char *id);
/* Durable before done, which is never called from within. */
must_check err *image_commit(const commit_opts *o, image_committed *done, void *arg);

/* ---- registries ---- */
typedef struct registry_settings {
    strv insecure;   /* "host:port" or CIDR */
    strv mirrors;    /* "url" (of Docker Hub), "registry=url", "*=url" */
    strv certs_dirs; /* of certs.d: <dir>/<host>/ca.crt, client.cert, client.key */
    unsigned max_downloads, max_attempts;
} registry_settings;
void images_set_registry(const registry_settings *s); /* copied; at start and on reload */
const registry_settings *images_registry(void);

typedef struct image_pull image_pull; /* one client's share of a pull */
typedef struct pull_opts {
    const char *image, *tag, *platform; /* tag may be a digest; "" where not said */
    const char *auth;                   /* X-Registry-Auth as it came; NULL: none */
} pull_opts;
typedef struct pull_events {
    void (*on_said)(void *arg, const char *json); /* a progress message */
    void (*on_end)(void *arg, err *e);            /* last; owned by the callee */
} pull_events;
/* The same pull of several clients at once is made once.  Durable before on_end. */
/* on_said may be called from within (of a pull that has begun); on_end is not. */
must_check err *image_pull_begin(const pull_opts *o, const pull_events *ev, void *arg,
                                 image_pull **ret);
void image_pull_leave(image_pull *p); /* the client is gone: the last one ends the pull */

/* What a name stands for at its registry; auth as of a pull.  answer is done's for the call, which
 * is never from within. */
typedef void registry_looked(void *arg, err *e, const distribution_inspect *answer);
must_check err *registry_look(const char *name, const char *auth, registry_looked *done, void *arg);
/* Whether the registry at server ("" and index.docker.io: Docker Hub) knows who auth says. */
must_check err *registry_login(const char *server, const char *auth, registry_looked *done,
                               void *arg);

#endif
