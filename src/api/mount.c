/* mount.c - the tables behind mount.h. */
#include <berth/api/mount.h>

JSON_DEFINE(mount_bind_options, MOUNT_BIND_OPTIONS)
JSON_DEFINE(mount_driver, MOUNT_DRIVER)
JSON_DEFINE(mount_volume_options, MOUNT_VOLUME_OPTIONS)
JSON_DEFINE(mount_tmpfs_options, MOUNT_TMPFS_OPTIONS)
JSON_DEFINE(mount_image_options, MOUNT_IMAGE_OPTIONS)
JSON_DEFINE(mount_wish, MOUNT_WISH)
