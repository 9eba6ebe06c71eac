/* container_mounts.h - where on the host the mount points of a container are, running or not.
 *
 * Loop thread only. */
#ifndef BERTH_CONTAINER_MOUNTS_H_PUBLIC
#define BERTH_CONTAINER_MOUNTS_H_PUBLIC

#include <berth/container.h>

typedef struct container_mount {
    const char *type;   /* "bind", "volume", "tmpfs", "image" */
    const char *name;   /* of a volume or an image, else "" */
    const char *source; /* a directory or file of the host; "" for a tmpfs, which is only inside; an
                           image's is there while the container runs */
    const char *subpath;     /* of a volume or image: what of source is mounted (through openat2
                                RESOLVE_BENEATH, never by joining strings); "" is all of it.  An image's
                                source has it applied already */
    const char *destination; /* clean and absolute, in the container */
    bool rw;
} container_mount;

/* All of them, in the order they were asked for; copied into a. */
void container_mounts(const container *c, arena *a, container_mount **ret, size_t *ret_n);

/* A volume may have to be mounted before its source shows anything: between these it is.  user: a
 * name of the caller's own, unique among all that use. */
void container_mounts_use(container *c, const char *user, container_done *done, void *arg);
void container_mounts_unuse(container *c, const char *user, container_done *done, void *arg);

#endif
