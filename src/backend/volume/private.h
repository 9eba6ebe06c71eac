/* private.h - what a volume is made of, for the files of this room only. */
#ifndef BERTH_VOLUME_PRIVATE_H
#define BERTH_VOLUME_PRIVATE_H

#include <berth/str.h>
#include <berth/volume.h>
#include <stdint.h>
#include <uthash.h>

/* In the table "volumes", and beside the data for the day the store is lost. */
#define VOLUME_RECORD(F, T)             \
    F(T, STR, name, "Name", 0)          \
    F(T, INT, created_ns, "Created", 0) \
    F(T, MAP, labels, "Labels", 0)      \
    F(T, MAP, options, "Options", 0)
JSON_DECLARE(volume_record, VOLUME_RECORD)

typedef enum volume_stage {
    VOLUME_COMING, /* not durable yet */
    VOLUME_HERE,
    VOLUME_LEAVING, /* its name is taken until its directory is gone */
} volume_stage;

typedef struct use_call use_call;

struct volume {
    unsigned refs;
    arena *arena; /* the record's strings */
    volume_record rec;
    volume_stage stage;
    char *dir, *data; /* volumes/<name>, volumes/<name>/_data */
    strv holders, users;
    bool unsaved; /* found as a directory, not yet in the store */
    bool mounted; /* what its options name */
    bool use_runs;
    use_call *uses_first, **uses_last;
    UT_hash_handle hh;
};

enum { VOLUME_NAME_MAX = 255 };

/* ---- volumes.c ---- */
extern volume *volumes_by_name;
extern char *volumes_root;
volume *volume_new(const volume_record *rec); /* HERE; not in the registry */
void registry_put(volume *v);
void registry_drop(volume *v);
char *volume_gone_path(const volume *v); /* where its directory waits for its end; caller frees */
char *volume_making_path(const char *name); /* a file while it is made; caller frees */

/* ---- options.c ---- */
/* What dockerd's local driver refuses, in its words. */
must_check err *volume_name_check(const char *name);
must_check err *volume_options_check(const json_map *options);
/* Is there something to mount? */
bool volume_has_mount(const json_map *options);
/* mount(2) onto the directory fd; blocks. */
must_check err *volume_options_mount(const json_map *options, int target_fd, const char *path);

/* ---- sizes.c ---- */
/* The bytes of all files below path, links counted once; never leaves it; blocks. */
must_check err *volume_tree_size(const char *path, int64_t *ret_bytes);

/* ---- use.c ---- */
bool path_is_mounted(const char *path);         /* blocks shortly */
must_check err *path_unmount(const char *path); /* nothing mounted is success; blocks */

/* ---- remove.c ---- */
extern const struct flow_def volume_remove_flow;
/* ---- create.c ---- */
extern const struct flow_def volume_create_flow;

#endif
