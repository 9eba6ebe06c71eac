/* mount.h - HostConfig.Mounts, as clients ask and as inspect gives it back. */
#ifndef BERTH_API_MOUNT_H
#define BERTH_API_MOUNT_H

#include <berth/json.h>

#define MOUNT_BIND_OPTIONS(F, T)                                            \
    F(T, STR, propagation, "Propagation", OMIT_EMPTY)                       \
    F(T, BOOL, non_recursive, "NonRecursive", OMIT_EMPTY)                   \
    F(T, BOOL, create_mountpoint, "CreateMountpoint", OMIT_EMPTY)           \
    F(T, BOOL, read_only_non_recursive, "ReadOnlyNonRecursive", OMIT_EMPTY) \
    F(T, BOOL, read_only_force_recursive, "ReadOnlyForceRecursive", OMIT_EMPTY)
JSON_DECLARE(mount_bind_options, MOUNT_BIND_OPTIONS)

#define MOUNT_DRIVER(F, T)              \
    F(T, STR, name, "Name", OMIT_EMPTY) \
    F(T, MAP, options, "Options", OMIT_EMPTY)
JSON_DECLARE(mount_driver, MOUNT_DRIVER)

#define MOUNT_VOLUME_OPTIONS(F, T)            \
    F(T, BOOL, no_copy, "NoCopy", OMIT_EMPTY) \
    F(T, MAP, labels, "Labels", OMIT_EMPTY)   \
    F(T, STR, subpath, "Subpath", OMIT_EMPTY) \
    F(T, OBJP(mount_driver), driver, "DriverConfig", OMIT_UNSET)
JSON_DECLARE(mount_volume_options, MOUNT_VOLUME_OPTIONS)

#define MOUNT_TMPFS_OPTIONS(F, T)                  \
    F(T, INT, size_bytes, "SizeBytes", OMIT_EMPTY) \
    F(T, INT, mode, "Mode", OMIT_EMPTY)            \
    F(T, RAW, options, "Options", OMIT_EMPTY)
JSON_DECLARE(mount_tmpfs_options, MOUNT_TMPFS_OPTIONS)

#define MOUNT_IMAGE_OPTIONS(F, T) F(T, STR, subpath, "Subpath", OMIT_EMPTY)
JSON_DECLARE(mount_image_options, MOUNT_IMAGE_OPTIONS)

#define MOUNT_WISH(F, T)                                                  \
    F(T, STR, type, "Type", OMIT_EMPTY)                                   \
    F(T, STR, source, "Source", OMIT_EMPTY)                               \
    F(T, STR, target, "Target", OMIT_EMPTY)                               \
    F(T, BOOL, read_only, "ReadOnly", OMIT_EMPTY)                         \
    F(T, STR, consistency, "Consistency", OMIT_EMPTY)                     \
    F(T, OBJP(mount_bind_options), bind, "BindOptions", OMIT_UNSET)       \
    F(T, OBJP(mount_volume_options), volume, "VolumeOptions", OMIT_UNSET) \
    F(T, OBJP(mount_image_options), image, "ImageOptions", OMIT_UNSET)    \
    F(T, OBJP(mount_tmpfs_options), tmpfs, "TmpfsOptions", OMIT_UNSET)    \
    F(T, RAW, cluster, "ClusterOptions", OMIT_EMPTY)
JSON_DECLARE(mount_wish, MOUNT_WISH)

#endif
