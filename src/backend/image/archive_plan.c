/* archive_plan.c - what an unpacked `docker save` or OCI layout says it holds.
 *
 * All of it is hostile: files are reached by openat2 from the directory, sizes are bounded, digests
 * are checked before they become paths.  Worker threads only. */
#include "archive_plan.h"
#include <berth/mem.h>
#include <berth/reference.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MANIFEST_MAX = 4 << 20,
    LAYERS_MAX = 512,
    ALL_LAYERS_MAX = 4096,
    INDEX_DEPTH_MAX = 4,
    DESCRIPTORS_MAX = 1000
};

#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#else
#define ARCHITECTURE "arm64"
#endif

#define MANIFEST_LIST(F, T) F(T, OBJS(manifest_item), items, "l", 0)
JSON_DECLARE(manifest_list, MANIFEST_LIST)
JSON_DEFINE(manifest_list, MANIFEST_LIST)
#define OCI_PLATFORM(F, T)                     \
    F(T, STR, architecture, "architecture", 0) \
    F(T, STR, os, "os", 0)
JSON_DECLARE(oci_platform, OCI_PLATFORM)
JSON_DEFINE(oci_platform, OCI_PLATFORM)
#define OCI_DESCRIPTOR(F, T)                 \
    F(T, STR, media_type, "mediaType", 0)    \
    F(T, STR, digest, "digest", 0)           \
    F(T, INT, size, "size", 0)               \
    F(T, MAP, annotations, "annotations", 0) \
    F(T, OBJP(oci_platform), platform, "platform", 0)
JSON_DECLARE(oci_descriptor, OCI_DESCRIPTOR)
JSON_DEFINE(oci_descriptor, OCI_DESCRIPTOR)
#define OCI_DOCUMENT(F, T)                                \
    F(T, OBJS(oci_descriptor), manifests, "manifests", 0) \
    F(T, OBJP(oci_descriptor), config, "config", 0)       \
    F(T, OBJS(oci_descriptor), layers, "layers", 0)
JSON_DECLARE(oci_document, OCI_DOCUMENT)
JSON_DEFINE(oci_document, OCI_DOCUMENT)

int archive_open(const char *dir, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    auto_close int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_close int fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    return take_fd(&fd);
}

static err *read_member(const char *dir, const char *path, size_t max, char **ret_text)
{
    auto_close int fd = archive_open(dir, path);
    auto_buf text = {0};
    char block[16384];
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT
                   ? err_new(ERR_NOT_FOUND, "open %s: no such file or directory", path)
                   : err_new(ERR_INVALID, "open %s: not a readable file of the archive", path);
    while ((n = read(fd, block, sizeof(block))) > 0) {
        buf_add(&text, block, (size_t)n);
        if (text.len > max)
            return err_new(ERR_INVALID, "%s is too large", path);
    }
    if (n < 0)
        return err_errno(errno, "read %s", path);
    if (text.len && strlen(text.data) != text.len)
        return err_new(ERR_INVALID, "%s is not text", path);
    *ret_text = buf_take(&text);
    return NULL;
}

void archive_plan_done(archive_plan *p)
{
    for (size_t i = 0; i < p->n_images; i++)
        staged_image_done(&p->images[i]);
    for (size_t i = 0; i < p->n_layers; i++)
        free(p->layers[i].path);
    free(p->images);
    free(p->layers);
    *p = (archive_plan){0};
}

/* ---- one image: its configuration says which layers it must have ---- */

static err *plan_layers(staged_image *s, const json_strs *diff_ids, const json_strs *paths)
{
    char chain[72] = "";

    if (diff_ids->n != paths->n)
        return err_new(ERR_INVALID,
                       "invalid manifest, layers length mismatch: expected %zu, got %zu",
                       diff_ids->n, paths->n);
    if (diff_ids->n > LAYERS_MAX)
        return err_new(ERR_INVALID, "an image has more than %d layers", LAYERS_MAX);
    s->layers = xcalloc(diff_ids->n, sizeof(*s->layers));
    for (size_t i = 0; i < diff_ids->n; i++) {
        char next[72];

        if (!digest_is_valid(diff_ids->v[i]))
            return err_new(ERR_INVALID, "invalid diffID for layer %zu: \"%s\"", i, diff_ids->v[i]);
        snprintf(s->layers[i].diff_id, sizeof(s->layers[i].diff_id), "%s", diff_ids->v[i]);
        chain_id_next(chain, diff_ids->v[i], next);
        memcpy(chain, next, sizeof(chain));
        memcpy(s->layers[i].chain_id, next, sizeof(next));
        s->n_layers++;
    }
    return NULL;
}

static err *plan_image(archive_plan *p, const char *dir, const char *config_path,
                       const json_strs *paths, arena *a)
{
    image_config config = {0};
    staged_image *s;

    p->images = xrealloc(p->images, (p->n_images + 1) * sizeof(*p->images));
    s = &p->images[p->n_images++];
    memset(s, 0, sizeof(*s));
    TRY(read_member(dir, config_path, IMAGE_CONFIG_MAX, &s->config_text));
    digest_of(s->config_text, strlen(s->config_text), s->id);
    TRY(err_wrap(json_decode(&image_config_json, s->config_text, strlen(s->config_text),
                             JSON_ANY_VERSION, a, &config),
                 "image configuration"));
    if (!str_empty(config.os) && !str_eq(config.os, "linux"))
        return err_new(ERR_INVALID, "cannot load %s image on linux", config.os);
    TRY(plan_layers(s, &config.rootfs.diff_ids, paths));
    for (size_t i = 0; i < paths->n; i++) {
        p->layers = xrealloc(p->layers, (p->n_layers + 1) * sizeof(*p->layers));
        p->layers[p->n_layers++] = (archive_layer){xstrdup(paths->v[i]), NULL, false};
    }
    return NULL;
}

/* A name that is none is dropped with the archive. */
static err *plan_tag(staged_image *s, const char *name)
{
    auto_free char *familiar = NULL;
    reference r;

    TRY(err_wrap(reference_parse(name, &r), "invalid tag \"%s\"", name));
    familiar = reference_familiar(&r);
    reference_done(&r);
    if (!strchr(familiar, '@'))
        strv_push(&s->tags, familiar);
    return NULL;
}

/* ---- docker-archive ---- */

static err *plan_docker(archive_plan *p, const char *dir, const char *manifest, arena *a)
{
    auto_free char *wrapped = xasprintf("{\"l\":%s}", manifest);
    manifest_list list = {0};

    TRY(err_wrap(
        json_decode(&manifest_list_json, wrapped, strlen(wrapped), JSON_ANY_VERSION, a, &list),
        "manifest.json"));
    for (size_t i = 0; i < list.items.n; i++) {
        const manifest_item *item = JSON_AT(list.items, manifest_item, i);

        TRY(plan_image(p, dir, str_or(item->config, "-"), &item->layers, a));
        for (size_t t = 0; t < item->repo_tags.n; t++)
            TRY(plan_tag(&p->images[p->n_images - 1], item->repo_tags.v[t]));
    }
    return NULL;
}

/* ---- OCI layout ---- */

static err *member_of(const oci_descriptor *d, arena *a, char **ret_path)
{
    if (!digest_is_valid(d->digest))
        return err_new(ERR_INVALID, "invalid digest \"%s\"", str_or(d->digest, ""));
    *ret_path = arena_printf(a, "blobs/sha256/%s", d->digest + strlen("sha256:"));
    return NULL;
}

static bool runs_here(const oci_descriptor *d)
{
    return !d->platform || str_empty(d->platform->architecture) ||
           (str_eq(d->platform->architecture, ARCHITECTURE) &&
            str_eq(str_or(d->platform->os, "linux"), "linux"));
}

static const char *name_of(const oci_descriptor *d)
{
    const char *full = json_map_get(&d->annotations, "io.containerd.image.name");

    return full ? full : json_map_get(&d->annotations, "org.opencontainers.image.ref.name");
}

static err *plan_oci(archive_plan *p, const char *dir, const char *text, const char *name,
                     unsigned depth, arena *a);

static err *plan_descriptor(archive_plan *p, const char *dir, const oci_descriptor *d,
                            const char *name, unsigned depth, arena *a)
{
    auto_free char *text = NULL;
    char digest[72], *path;

    TRY(member_of(d, a, &path));
    TRY(read_member(dir, path, MANIFEST_MAX, &text));
    digest_of(text, strlen(text), digest);
    if (!str_eq(digest, d->digest))
        return err_new(ERR_INVALID, "blob %s does not have its digest", d->digest);
    return plan_oci(p, dir, text, name, depth, a);
}

static err *plan_manifest(archive_plan *p, const char *dir, const oci_document *doc,
                          const char *name, arena *a)
{
    json_strs paths = {0};
    char *config, *path;

    TRY(member_of(doc->config, a, &config));
    for (size_t i = 0; i < doc->layers.n; i++) {
        TRY(member_of(JSON_AT(doc->layers, oci_descriptor, i), a, &path));
        json_strs_add(&paths, a, path);
    }
    TRY(plan_image(p, dir, config, &paths, a));
    if (!str_eq(p->images[p->n_images - 1].id, doc->config->digest))
        return err_new(ERR_INVALID, "blob %s does not have its digest", doc->config->digest);
    if (!str_empty(name) && (strchr(name, '/') || strchr(name, ':')))
        return plan_tag(&p->images[p->n_images - 1], name);
    return NULL;
}

static err *plan_oci(archive_plan *p, const char *dir, const char *text, const char *name,
                     unsigned depth, arena *a)
{
    oci_document doc = {0};

    TRY(err_wrap(json_decode(&oci_document_json, text, strlen(text), JSON_ANY_VERSION, a, &doc),
                 "OCI layout"));
    if (doc.config && doc.manifests.n)
        return err_new(ERR_INVALID, "a manifest is an index as well");
    if (doc.config)
        return plan_manifest(p, dir, &doc, name, a);
    if (depth >= INDEX_DEPTH_MAX || doc.manifests.n > DESCRIPTORS_MAX)
        return err_new(ERR_INVALID, "the index of the archive is too large");
    for (size_t i = 0; i < doc.manifests.n; i++) {
        const oci_descriptor *d = JSON_AT(doc.manifests, oci_descriptor, i);

        if (runs_here(d))
            TRY(plan_descriptor(p, dir, d, name ? name : name_of(d), depth + 1, a));
    }
    return NULL;
}

/* The layers of all images in one list, each knowing where its result goes. */
static err *bind_layers(archive_plan *p)
{
    size_t k = 0;

    if (p->n_layers > ALL_LAYERS_MAX)
        return err_new(ERR_INVALID, "the archive holds more than %d layers", ALL_LAYERS_MAX);
    for (size_t i = 0; i < p->n_images; i++)
        for (size_t l = 0; l < p->images[i].n_layers; l++)
            p->layers[k++].to = &p->images[i].layers[l];
    for (size_t i = 0; i < p->n_layers; i++)
        for (size_t j = 0; j < i && !p->layers[i].repeated; j++)
            p->layers[i].repeated = str_eq(p->layers[j].to->chain_id, p->layers[i].to->chain_id);
    return NULL;
}

err *archive_plan_read(const char *dir, archive_plan *ret)
{
    auto_arena *a = arena_new();
    auto_free char *text = NULL;
    err *e = read_member(dir, "manifest.json", MANIFEST_MAX, &text);

    if (!e) {
        e = plan_docker(ret, dir, text, a);
    } else if (err_kind(e) == ERR_NOT_FOUND) {
        err_free(e);
        e = read_member(dir, "index.json", MANIFEST_MAX, &text);
        if (!e)
            e = plan_oci(ret, dir, text, NULL, 0, a);
        else if (err_kind(e) == ERR_NOT_FOUND) {
            err_free(e);
            e = err_new(ERR_INVALID, "the archive holds neither manifest.json nor index.json");
        }
    }
    if (!e && !ret->n_images)
        e = err_new(ERR_INVALID, "the archive holds no image");
    if (!e)
        e = bind_layers(ret);
    if (e && err_kind(e) == ERR_NOT_FOUND) {
        err *bad = err_new(ERR_INVALID, "%s", err_message(e));

        err_free(e);
        e = bad;
    }
    return e;
}
