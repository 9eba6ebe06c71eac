/* volume.h - volumes: directories that outlive containers, by name.
 *
 * The one driver is "local": data-root/volumes/<name>/_data, or what its options type, device and o
 * name, mounted there while a container uses it.  A volume is held by the containers that have it
 * among their mount points, and used by those that run; held ones are not removed.  Loop thread
 * only, except where said. */
#ifndef BERTH_VOLUME_H
#define BERTH_VOLUME_H

#include <berth/api/volume.h>
#include <berth/err.h>
#include <berth/filters.h>
#include <berth/store.h>
#include <stdbool.h>
#include <stddef.h>

#define VOLUME_DRIVER          "local"
#define VOLUME_ANONYMOUS_LABEL "com.docker.volume.anonymous"

typedef struct volume volume;

/* Reads what the store knows, or after its loss (rebuilt) what the directories say, and removes
 * what a creation or a removal that was cut off has left; a directory that somebody put there
 * becomes a volume.  Blocks; after store_open. */
must_check err *volumes_init(const char *data_root, bool rebuilt);
/* The containers that run have told what they use: what else is mounted is unmounted.  Volumes that
 * were found as directories are saved. */
void volumes_settle(void);
void volumes_done(void);

/* By its exact name; ERR_NOT_FOUND "get X: no such volume". */
must_check err *volume_find(const char *name, volume **ret_v);
volume *volume_ref(volume *v);
void volume_unref(volume *v); /* NULL is fine */
const char *volume_name(const volume *v);
const char *volume_mountpoint(const volume *v); /* absolute; any thread while referenced */
bool volume_is_anonymous(const volume *v);
void volume_describe(const volume *v, arena *a, volume_info *ret);

/* The filters dangling, driver, label and name; sorted by name; *ret_list is of volume *, good
 * until the loop goes on. */
must_check err *volumes_list(const filters *f, arena *a, volume ***ret_list, size_t *ret_n);

/* ---- operations ---- */
typedef struct volume_wish {
    const char *name;                 /* "" or NULL: anonymous, a random name */
    const char *driver;               /* "" or NULL: local */
    const json_map *options, *labels; /* may be NULL; copied */
} volume_wish;
/* v is done's for the call. */
typedef void volume_created(void *arg, err *e, volume *v);
/* One that is there already is answered as it is.  Durable before done. */
void volume_create(const volume_wish *w, volume_created *done, void *arg);
typedef void volume_finished(void *arg, err *e);
/* force: that there is none, is success. */
void volume_remove(const char *name, bool force, volume_finished *done, void *arg);
/* Those that nobody holds and the filters label and label! let through: anonymous ones only, unless
 * all.  ret is done's for the call. */
typedef void volumes_pruned_done(void *arg, err *e, const volumes_pruned *ret);
void volumes_prune(const filters *f, bool all, volumes_pruned_done *done, void *arg);
/* Every volume with its UsageData, measured by a job; ret is done's for the call. */
typedef void volumes_measured_done(void *arg, err *e, const json_list *ret /* of volume_info */);
void volumes_measure(volumes_measured_done *done, void *arg);

/* ---- as a part of something larger: a container comes, a container goes ----
 * Made: volume_intend, volume_make on a worker, volume_save into the batch that makes the whole
 * durable, volume_made.  Given up before that: volume_give_up.
 * Removed: volume_leave, volume_set_aside on a worker, volume_forget into the batch, volume_erase
 * on a worker, volume_left.  Given up before the batch: volume_stay. */

/* Finds or registers one; held by holder, and the reference is the caller's.  *ret_is_new: it is
 * not durable yet, and the caller has to make it so. */
must_check err *volume_intend(const volume_wish *w, const char *holder, volume **ret_v,
                              bool *ret_is_new);
must_check err *volume_make(const volume *v); /* blocks */
void volume_save(const volume *v, store_batch *b);
void volume_made(volume *v); /* by each who made it */
void volume_give_up(volume *v, const char *holder);
volume *volume_by_name(
    const char *name); /* a coming or a leaving one too; NULL when there is none */
bool volume_is_coming(const volume *v);
/* An event of a volume: its driver, then key, value, ..., NULL. */
void volume_event(const volume *v, const char *action, ...) __attribute__((sentinel));

/* ERR_CONFLICT "remove X: volume is in use - [...]" while it is held by others than holder (may be
 * NULL). */
must_check err *volume_leave(volume *v, const char *holder);
must_check err *volume_set_aside(const volume *v); /* blocks */
void volume_forget(const volume *v, store_batch *b);
must_check err *volume_erase(const volume *v); /* blocks, as long as the tree is large */
void volume_left(volume *v);
must_check err *volume_put_back(const volume *v); /* blocks; undoes volume_set_aside */
void volume_stay(volume *v);                      /* undoes volume_leave */

void volume_hold(volume *v, const char *holder);
void volume_release(volume *v, const char *holder);

/* Mounted (where its options say what) when done runs, and until the last user has ended.  One user
 * counts once, however often it calls. */
void volume_use(volume *v, const char *user, volume_finished *done, void *arg);
void volume_unuse(volume *v, const char *user, volume_finished *done, void *arg);

#endif
