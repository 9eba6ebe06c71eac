/* manifest.h - what a registry says an image is: manifests and indexes, of Docker and of OCI. */
#ifndef BERTH_IMAGE_MANIFEST_H
#define BERTH_IMAGE_MANIFEST_H

#include <berth/api/image.h>
#include <berth/arena.h>
#include <berth/err.h>
#include <berth/json.h>

#define MANIFEST(F, T)                                \
    F(T, INT, schema_version, "schemaVersion", 0)     \
    F(T, STR, media_type, "mediaType", 0)             \
    F(T, OBJ(descriptor), config, "config", 0)        \
    F(T, OBJS(descriptor), layers, "layers", 0)       \
    F(T, OBJS(descriptor), manifests, "manifests", 0) \
    F(T, RAW, fs_layers, "fsLayers", 0)
JSON_DECLARE(manifest, MANIFEST)

enum {
    MANIFEST_MAX = 4 << 20, /* bytes; also of an index */
    MANIFEST_LAYERS_MAX = 127,
    MANIFEST_ENTRIES_MAX = 1000,
};

extern const char MANIFEST_TYPES[]; /* for Accept */

/* Decodes and checks: one kind, as its media type says, valid digests, sizes and counts; no layer
 * that lies elsewhere.  content_type: the answer's, NULL when it has none.  Lives in a. */
must_check err *manifest_parse(const char *text, size_t n, const char *content_type, arena *a,
                               manifest *ret);
bool manifest_is_index(const manifest *m);

/* "linux/arm64/v8", "linux", "arm64"; "" is this host.  ERR_INVALID with dockerd's text. */
must_check err *platform_parse(const char *text, arena *a, platform *ret);
char *platform_text(const platform *p); /* "linux/arm64/v8"; caller frees */
bool platform_runs(const platform *wanted, const platform *has);
/* The best of an index; NULL: none fits. */
const descriptor *manifest_choose(const manifest *index, const platform *wanted);

#endif
