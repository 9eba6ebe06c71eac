/* volume.h - what /volumes says and is told, and the volumes of GET /system/df. */
#ifndef BERTH_API_VOLUME_H
#define BERTH_API_VOLUME_H

#include <berth/json.h>

#define VOLUME_USAGE(F, T)              \
    F(T, INT, ref_count, "RefCount", 0) \
    F(T, INT, size, "Size", 0)
JSON_DECLARE(volume_usage, VOLUME_USAGE)

#define VOLUME_INFO(F, T)                  \
    F(T, STR, created_at, "CreatedAt", 0)  \
    F(T, STR, driver, "Driver", 0)         \
    F(T, MAP, labels, "Labels", 0)         \
    F(T, STR, mountpoint, "Mountpoint", 0) \
    F(T, STR, name, "Name", 0)             \
    F(T, MAP, options, "Options", 0)       \
    F(T, STR, scope, "Scope", 0)           \
    F(T, OBJP(volume_usage), usage, "UsageData", OMIT_UNSET)
JSON_DECLARE(volume_info, VOLUME_INFO)

#define VOLUMES_ANSWER(F, T)                                \
    F(T, OBJS(volume_info), volumes, "Volumes", EMPTY_LIST) \
    F(T, STRS, warnings, "Warnings", 0)
JSON_DECLARE(volumes_answer, VOLUMES_ANSWER)

#define VOLUME_CREATE(F, T)                 \
    F(T, STR, name, "Name", 0)              \
    F(T, STR, driver, "Driver", 0)          \
    F(T, MAP, driver_opts, "DriverOpts", 0) \
    F(T, MAP, labels, "Labels", 0)          \
    F(T, RAW, cluster, "ClusterVolumeSpec", SINCE(42))
JSON_DECLARE(volume_create_body, VOLUME_CREATE)

#define VOLUMES_PRUNED(F, T)                          \
    F(T, STRS, deleted, "VolumesDeleted", EMPTY_LIST) \
    F(T, INT, reclaimed, "SpaceReclaimed", 0)
JSON_DECLARE(volumes_pruned, VOLUMES_PRUNED)

#endif
