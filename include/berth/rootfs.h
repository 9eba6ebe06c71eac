/* rootfs.h - a container's root file system: overlay over an image's layers.
 *
 * All of it blocks and may run on any thread. */
#ifndef BERTH_ROOTFS_H
#define BERTH_ROOTFS_H

#include <berth/err.h>
#include <stdbool.h>

/* Once, at start: the read-only layer above every image that holds real directories and files where
 * the runtime mounts (/dev, /proc, /sys, /etc/hosts, ...), so that no link of an image leads a
 * mount astray. */
must_check err *rootfs_init(const char *data_root);
const char *rootfs_init_layer(void);
/* container_dir/diff, work and merged. */
must_check err *rootfs_prepare(const char *container_dir);
/* lowers: topmost first, NULL-terminated; the init layer is put on top here. */
must_check err *rootfs_mount(const char *const *lowers, const char *container_dir);
/* The same read-only and mounted nowhere: it is there as long as the descriptor.  with_init: as a
 * container sees it; without: the image alone. */
must_check err *rootfs_open(const char *const *lowers, bool with_init, int *ret_fd);
/* A container's root, to be written to, mounted nowhere yet; never beside rootfs_mount. */
must_check err *rootfs_open_writable(const char *const *lowers, const char *container_dir,
                                     int *ret_fd);
must_check err *rootfs_unmount(const char *merged); /* nothing mounted is success */

#endif
