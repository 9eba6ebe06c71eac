/* image.h - the image's own configuration file, and what the API says of images. */
#ifndef BERTH_API_IMAGE_H
#define BERTH_API_IMAGE_H

#include <berth/api/config.h>
#include <berth/json.h>

#define IMAGE_ROOTFS(F, T)     \
    F(T, STR, type, "type", 0) \
    F(T, STRS, diff_ids, "diff_ids", EMPTY_LIST)
JSON_DECLARE(image_rootfs, IMAGE_ROOTFS)

#define IMAGE_HISTORY(F, T)                         \
    F(T, STR, created, "created", OMIT_EMPTY)       \
    F(T, STR, author, "author", OMIT_EMPTY)         \
    F(T, STR, created_by, "created_by", OMIT_EMPTY) \
    F(T, STR, comment, "comment", OMIT_EMPTY)       \
    F(T, BOOL, empty_layer, "empty_layer", OMIT_EMPTY)
JSON_DECLARE(image_history, IMAGE_HISTORY)

/* What of Config an image carries; all else of it is ignored. */
#define IMAGE_RUN_CONFIG(F, T)                                      \
    F(T, STR, user, "User", OMIT_EMPTY)                             \
    F(T, SET, exposed_ports, "ExposedPorts", OMIT_EMPTY)            \
    F(T, STRS, env, "Env", OMIT_EMPTY)                              \
    F(T, CMD, entrypoint, "Entrypoint", OMIT_EMPTY)                 \
    F(T, CMD, cmd, "Cmd", OMIT_EMPTY)                               \
    F(T, SET, volumes, "Volumes", OMIT_EMPTY)                       \
    F(T, STR, working_dir, "WorkingDir", OMIT_EMPTY)                \
    F(T, MAP, labels, "Labels", OMIT_EMPTY)                         \
    F(T, STR, stop_signal, "StopSignal", OMIT_EMPTY)                \
    F(T, OBJP(healthcheck), healthcheck, "Healthcheck", OMIT_EMPTY) \
    F(T, BOOL, args_escaped, "ArgsEscaped", OMIT_EMPTY)             \
    F(T, STRS, on_build, "OnBuild", OMIT_EMPTY)                     \
    F(T, CMD, shell, "Shell", OMIT_EMPTY)
JSON_DECLARE(image_run_config, IMAGE_RUN_CONFIG)

#define IMAGE_CONFIG(F, T)                                  \
    F(T, STR, created, "created", OMIT_EMPTY)               \
    F(T, STR, author, "author", OMIT_EMPTY)                 \
    F(T, STR, architecture, "architecture", 0)              \
    F(T, STR, variant, "variant", OMIT_EMPTY)               \
    F(T, STR, os, "os", 0)                                  \
    F(T, STR, os_version, "os.version", OMIT_EMPTY)         \
    F(T, STR, comment, "comment", OMIT_EMPTY)               \
    F(T, STR, docker_version, "docker_version", OMIT_EMPTY) \
    F(T, OBJ(image_run_config), config, "config", 0)        \
    F(T, OBJ(image_rootfs), rootfs, "rootfs", 0)            \
    F(T, OBJS(image_history), history, "history", OMIT_EMPTY)
JSON_DECLARE(image_config, IMAGE_CONFIG)

#define MANIFEST_ITEM(F, T)              \
    F(T, STR, config, "Config", 0)       \
    F(T, STRS, repo_tags, "RepoTags", 0) \
    F(T, STRS, layers, "Layers", 0)
JSON_DECLARE(manifest_item, MANIFEST_ITEM)

#define IMAGE_SUMMARY(F, T)                             \
    F(T, INT, containers, "Containers", 0)              \
    F(T, INT, created, "Created", 0)                    \
    F(T, STR, id, "Id", 0)                              \
    F(T, MAP, labels, "Labels", 0)                      \
    F(T, STR, parent_id, "ParentId", 0)                 \
    F(T, STRS, repo_digests, "RepoDigests", EMPTY_LIST) \
    F(T, STRS, repo_tags, "RepoTags", EMPTY_LIST)       \
    F(T, INT, shared_size, "SharedSize", 0)             \
    F(T, INT, size, "Size", 0)                          \
    F(T, INT, virtual_size, "VirtualSize", UNTIL(43))
JSON_DECLARE(image_summary, IMAGE_SUMMARY)

/* Config of GET /images/{name}/json as 1.50 and 1.51 have it: these are always there. */
#define INSPECT_CONFIG(F, T)                                        \
    F(T, STR, hostname, "Hostname", UNTIL(49))                      \
    F(T, STR, domainname, "Domainname", UNTIL(49))                  \
    F(T, STR, user, "User", 0)                                      \
    F(T, BOOL, attach_stdin, "AttachStdin", UNTIL(49))              \
    F(T, BOOL, attach_stdout, "AttachStdout", UNTIL(49))            \
    F(T, BOOL, attach_stderr, "AttachStderr", UNTIL(49))            \
    F(T, SET, exposed_ports, "ExposedPorts", OMIT_EMPTY)            \
    F(T, BOOL, tty, "Tty", UNTIL(49))                               \
    F(T, BOOL, open_stdin, "OpenStdin", UNTIL(49))                  \
    F(T, BOOL, stdin_once, "StdinOnce", UNTIL(49))                  \
    F(T, STRS, env, "Env", 0)                                       \
    F(T, CMD, cmd, "Cmd", 0)                                        \
    F(T, OBJP(healthcheck), healthcheck, "Healthcheck", OMIT_EMPTY) \
    F(T, BOOL, args_escaped, "ArgsEscaped", OMIT_EMPTY)             \
    F(T, STR, image, "Image", UNTIL(49))                            \
    F(T, SET, volumes, "Volumes", 0)                                \
    F(T, STR, working_dir, "WorkingDir", 0)                         \
    F(T, CMD, entrypoint, "Entrypoint", 0)                          \
    F(T, STRS, on_build, "OnBuild", 0)                              \
    F(T, MAP, labels, "Labels", 0)                                  \
    F(T, STR, stop_signal, "StopSignal", OMIT_EMPTY)                \
    F(T, CMD, shell, "Shell", OMIT_EMPTY)
JSON_DECLARE(inspect_config, INSPECT_CONFIG)

#define IMAGE_GRAPH(F, T)      \
    F(T, MAP, data, "Data", 0) \
    F(T, STR, name, "Name", 0)
JSON_DECLARE(image_graph, IMAGE_GRAPH)

#define INSPECT_ROOTFS(F, T)   \
    F(T, STR, type, "Type", 0) \
    F(T, STRS, layers, "Layers", OMIT_EMPTY)
JSON_DECLARE(inspect_rootfs, INSPECT_ROOTFS)

#define INSPECT_METADATA(F, T) F(T, STR, last_tag_time, "LastTagTime", 0)
JSON_DECLARE(inspect_metadata, INSPECT_METADATA)

#define IMAGE_INSPECT(F, T)                                                   \
    F(T, STR, id, "Id", 0)                                                    \
    F(T, STRS, repo_tags, "RepoTags", EMPTY_LIST)                             \
    F(T, STRS, repo_digests, "RepoDigests", EMPTY_LIST)                       \
    F(T, STR, parent, "Parent", UNTIL(51))                                    \
    F(T, STR, comment, "Comment", UNTIL(51))                                  \
    F(T, STR, created_always, "Created", UNTIL(43))                           \
    F(T, STR, created, "Created", SINCE(44) | OMIT_EMPTY)                     \
    F(T, STR, container, "Container", UNTIL(44))                              \
    F(T, OBJ(inspect_config), container_config, "ContainerConfig", UNTIL(44)) \
    F(T, STR, docker_version, "DockerVersion", UNTIL(51))                     \
    F(T, STR, author, "Author", UNTIL(51))                                    \
    F(T, OBJ(inspect_config), config, "Config", 0)                            \
    F(T, STR, architecture, "Architecture", 0)                                \
    F(T, STR, variant, "Variant", OMIT_EMPTY)                                 \
    F(T, STR, os, "Os", 0)                                                    \
    F(T, INT, size, "Size", 0)                                                \
    F(T, INT, virtual_size, "VirtualSize", UNTIL(43))                         \
    F(T, OBJ(image_graph), graph_driver, "GraphDriver", UNTIL(51))            \
    F(T, OBJ(inspect_rootfs), rootfs, "RootFS", 0)                            \
    F(T, OBJ(inspect_metadata), metadata, "Metadata", 0)
JSON_DECLARE(image_inspect, IMAGE_INSPECT)

#define IMAGE_HISTORY_ITEM(F, T)          \
    F(T, STR, comment, "Comment", 0)      \
    F(T, INT, created, "Created", 0)      \
    F(T, STR, created_by, "CreatedBy", 0) \
    F(T, STR, id, "Id", 0)                \
    F(T, INT, size, "Size", 0)            \
    F(T, STRS, tags, "Tags", 0)
JSON_DECLARE(image_history_item, IMAGE_HISTORY_ITEM)

#define IMAGE_DELETED(F, T)                   \
    F(T, STR, deleted, "Deleted", OMIT_EMPTY) \
    F(T, STR, untagged, "Untagged", OMIT_EMPTY)
JSON_DECLARE(image_deleted, IMAGE_DELETED)

#define IMAGES_PRUNED(F, T)                                \
    F(T, OBJS(image_deleted), deleted, "ImagesDeleted", 0) \
    F(T, INT, reclaimed, "SpaceReclaimed", 0)
JSON_DECLARE(images_pruned, IMAGES_PRUNED)

/* As registries and OCI have them. */
#define PLATFORM(F, T)                              \
    F(T, STR, architecture, "architecture", 0)      \
    F(T, STR, os, "os", 0)                          \
    F(T, STR, os_version, "os.version", OMIT_EMPTY) \
    F(T, STR, variant, "variant", OMIT_EMPTY)
JSON_DECLARE(platform, PLATFORM)

#define DESCRIPTOR(F, T)                  \
    F(T, STR, media_type, "mediaType", 0) \
    F(T, STR, digest, "digest", 0)        \
    F(T, INT, size, "size", 0)            \
    F(T, STRS, urls, "urls", OMIT_EMPTY)  \
    F(T, OBJ(platform), platform, "platform", OMIT_ZERO_OBJ)
JSON_DECLARE(descriptor, DESCRIPTOR)

#define DISTRIBUTION_INSPECT(F, T)                     \
    F(T, OBJ(descriptor), descriptor, "Descriptor", 0) \
    F(T, OBJS(platform), platforms, "Platforms", EMPTY_LIST)
JSON_DECLARE(distribution_inspect, DISTRIBUTION_INSPECT)

#endif
