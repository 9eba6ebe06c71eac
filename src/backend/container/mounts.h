/* mounts.h - a container's mount points: what is recorded of each, and what is done with them. */
#ifndef BERTH_CONTAINER_MOUNTS_H
#define BERTH_CONTAINER_MOUNTS_H

#include <berth/api/mount.h>
#include <berth/arena.h>
#include <berth/err.h>
#include <berth/flow.h>
#include <berth/spec.h>
#include <berth/store.h>

/* One mount point, complete: nothing of it is looked up again in what the client said. */
#define MOUNT_RECORD(F, T)                                                                         \
    F(T, STR, type, "Type", 0)                                                                     \
    F(T, STR, name, "Name", OMIT_EMPTY)     /* the volume's; the image's as asked */               \
    F(T, STR, source, "Source", OMIT_EMPTY) /* a bind's path, an image's id */                     \
    F(T, STR, destination, "Destination", 0)                                                       \
    F(T, STR, mode, "Mode", OMIT_EMPTY)                                                            \
    F(T, BOOL, rw, "RW", 0)                                                                        \
    F(T, STR, propagation, "Propagation", OMIT_EMPTY)                                              \
    F(T, STR, subpath, "Subpath", OMIT_EMPTY)                                                      \
    F(T, STR, tmpfs, "Tmpfs", OMIT_EMPTY) /* its mount options */                                  \
    F(T, BOOL, anonymous, "Anonymous", OMIT_EMPTY)                                                 \
    F(T, BOOL, from_config, "FromConfig", OMIT_EMPTY) /* Config.Volumes asked for it */            \
    F(T, BOOL, copies, "Copies", OMIT_EMPTY)        /* an empty volume is filled from the image */ \
    F(T, BOOL, must_exist, "MustExist", OMIT_EMPTY) /* a missing source is not made */             \
    F(T, BOOL, own_slave, "OwnSlave", OMIT_EMPTY)   /* rslave because of the daemon's root */      \
    F(T, BOOL, flat, "Flat", OMIT_EMPTY)            /* not recursive */                            \
    F(T, BOOL, flat_ro, "FlatReadOnly", OMIT_EMPTY)                                                \
    F(T, BOOL, deep_ro, "DeepReadOnly", OMIT_EMPTY)
JSON_DECLARE(mount_record, MOUNT_RECORD)

enum { MOUNTS_MAX = 2048 };

/* ---- mounts_words.c: what clients write ---- */
/* Go's filepath.Clean, in a. */
char *path_clean(const char *path, arena *a);
bool path_is_local(const char *path); /* relative, and does not leave through ".." */
/* One of Binds ("src:dst[:mode]", "/dst") as a wish; *ret_mode is its mode.  dockerd's words. */
must_check err *bind_parse(const char *text, arena *a, mount_wish *ret, const char **ret_mode);
must_check err *mount_check(const mount_wish *w, arena *a);
must_check err *mount_point_check(const mount_record *rec); /* where nothing may be mounted */
/* "exec" or "noexec", size and mode, as mount(8) takes them. */
must_check err *tmpfs_words(const mount_wish *w, arena *a, char **ret);
/* "container[:mode]". */
must_check err *volumes_from_parse(const char *text, arena *a, char **ret_ref, bool *ret_rw);
/* What older clients mean, and what they may not say. */
must_check err *mounts_of_version(json_list *mounts, int api_version);

/* ---- mounts_plan.c ---- */
struct container_create_opts;
/* From Binds, Mounts, VolumesFrom, Config.Volumes to mount points, with dockerd's precedence.
 * Volumes and images among them are held by id until mounts_give_up. */
must_check err *mounts_plan(const struct container_create_opts *o, const char *id, arena *a,
                            json_list *ret /* of mount_record */);

/* ---- mounts_life.c: the volumes and images behind them ---- */
struct container;
void mounts_bind(struct container *c);     /* finds and holds them; after mounts_plan, at restore */
void mounts_give_up(struct container *c);  /* a creation has failed */
void mounts_release(struct container *c);  /* the container is gone */
void mounts_mark_new(struct container *c); /* what mounts_make has to make */
must_check err *mounts_make(struct container *c); /* on a worker */
void mounts_save(struct container *c, store_batch *b);
void mounts_made(struct container *c);
/* Use all, unuse all; they end in flow_resume. */
void mounts_use(struct container *c, flow *f);
void mounts_unuse(struct container *c, flow *f);
void mounts_use_again(struct container *c); /* found running by a new daemon */
void mounts_told_start(struct container *c);
void mounts_told_end(struct container *c);
/* The anonymous volumes that nobody else holds go with the container. */
void mounts_leave(struct container *c);
bool mounts_has_leaving(const struct container *c);
must_check err *mounts_set_aside(struct container *c); /* on a worker */
must_check err *mounts_put_back(struct container *c);  /* on a worker */
void mounts_forget(struct container *c, store_batch *b);
void mounts_erase(struct container *c); /* on a worker */
void mounts_left(struct container *c);
void mounts_stay(struct container *c);

/* ---- mounts_show.c ---- */
struct filters;
/* full: as inspect has it, else as the list has it; ret is of mount_point. */
void mounts_describe(const struct container *c, bool full, arena *a, json_list *ret);
bool mounts_match(const struct container *c, const struct filters *f); /* the filter "volume" */

/* ---- mounts_fill.c: image content into new volumes, at create ---- */
bool mounts_want_root(const struct container *c); /* is there anything to look at? */
/* On a worker, with the volumes in use; lowers are the image's layers. */
must_check err *mounts_fill(struct container *c, const char *const *lowers);
/* copyup.c: everything of the directory from into the directory to, if that is empty.  Both are
 * reached by descriptors alone. */
must_check err *copy_up(int from, int to);

/* ---- mounts_sources.c: what the runtime gets; on a worker ---- */
/* Checks and makes the sources, pins those that could be swapped.  lowers: for each image mount its
 * layers, NULL for others. */
must_check err *mounts_prepare(struct container *c, strv *image_lowers, arena *a, spec_bind **ret,
                               size_t *ret_n);
void mounts_lowers(struct container *c, strv *ret /* one per mount point */); /* on the loop */
must_check err *mounts_check_sources(struct container *c);
must_check err *mounts_unpin(const char *container_id);
/* Pins of containers that are not kept; blocks, at start. */
void mounts_sweep(bool (*keeps)(const char *container_id));

#endif
