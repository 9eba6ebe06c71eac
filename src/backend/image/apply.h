/* apply.h - writing the members of an archive below a directory, and nowhere else. */
#ifndef BERTH_IMAGE_APPLY_H
#define BERTH_IMAGE_APPLY_H

#include <berth/err.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

typedef void xattr_seen(void *ctx, const char *name, const void *value, size_t n);

typedef struct tar_member {
    const char *path, *hardlink, *symlink;
    mode_t mode;
    int64_t uid, gid, major, minor, size;
    struct timespec mtime;
    err *(*write_data)(void *arg, int fd);
    void *data_arg;
    void (*each_xattr)(void *arg, xattr_seen *seen, void *ctx);
    void *xattr_arg;
} tar_member;

typedef struct applier applier;

typedef enum apply_mode {
    APPLY_MEMBERS, /* files, directories and links with owners and modes of our own: to be read
                      again by us */
    APPLY_PLAIN,   /* everything as the archive has it; names of whiteouts are names */
    APPLY_LAYER,   /* the same, and whiteouts hide what is below */
} apply_mode;

applier *applier_new(int root_fd, apply_mode mode);
/* Members go below this directory of the root instead; links resolve in the root all the same.
 * keep_kinds: what is a directory stays one, and what is none stays none. */
must_check err *applier_set_target(applier *ap, const char *path, bool keep_kinds);
must_check err *applier_apply(applier *ap, const tar_member *m);
must_check err *applier_finish(applier *ap); /* times of directories */
uint64_t applier_bytes(const applier *ap);   /* of regular files */
/* Directories that hide what is below them, hex-coded: who may set trusted attributes does so
 * later. */
const strv *applier_opaques(const applier *ap);
void applier_free(applier *ap);

#endif
