/* manifest.c - what a registry says an image is.  Everything in it comes from a stranger.
 * Any thread. */
#include "manifest.h"
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

JSON_DEFINE(manifest, MANIFEST)

#define DOCKER_TYPE "application/vnd.docker.distribution.manifest."
#define OCI_TYPE    "application/vnd.oci.image."

#if defined(__x86_64__)
#define HOST_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define HOST_ARCHITECTURE "arm64"
#else
#error "name this architecture as Go does"
#endif

const char MANIFEST_TYPES[] = DOCKER_TYPE "v2+json, " DOCKER_TYPE "list.v2+json, " OCI_TYPE
                                          "manifest.v1+json, " OCI_TYPE "index.v1+json";

/* ---- checks ---- */

static bool type_is_index(const char *type)
{
    return str_eq(type, DOCKER_TYPE "list.v2+json") || str_eq(type, OCI_TYPE "index.v1+json");
}

static bool type_is_manifest(const char *type)
{
    return str_eq(type, DOCKER_TYPE "v2+json") || str_eq(type, OCI_TYPE "manifest.v1+json");
}

bool manifest_is_index(const manifest *m)
{
    return m->manifests.set;
}

static err *check_descriptor(const descriptor *d)
{
    if (!digest_is_valid(str_or(d->digest, "")))
        return err_new(ERR_INVALID, "invalid checksum digest format");
    if (d->size < 0)
        return err_new(ERR_INVALID, "invalid size of %s", d->digest);
    return NULL;
}

static err *check_layer(const descriptor *d)
{
    TRY(check_descriptor(d));
    if (d->urls.n || strstr(str_or(d->media_type, ""), ".foreign.") ||
        strstr(str_or(d->media_type, ""), ".nondistributable."))
        return err_new(ERR_INVALID, "layer %s lies outside the registry: not supported", d->digest);
    return NULL;
}

/* The media type of the answer, of the text and of what is in it are one (CVE-2021-41190). */
static err *check_kind(const manifest *m, const char *content_type)
{
    const char *types[] = {m->media_type, content_type};

    if (m->schema_version == 1 || m->fs_layers.text)
        return err_new(ERR_INVALID,
                       "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest "
                       "version 2, schema 1 support has been removed. Suggest the author of the "
                       "image to upgrade the image to the OCI Format or Docker Image manifest v2, "
                       "schema 2.");
    if (m->schema_version != 2)
        return err_new(ERR_INVALID, "unsupported manifest schema version %lld",
                       (long long)m->schema_version);
    if (m->manifests.set == (m->layers.set || m->config.digest))
        return err_new(ERR_INVALID, "a manifest must have either manifests or config and layers");
    for (size_t i = 0; i < COUNT(types); i++) {
        bool index = type_is_index(types[i]), one = type_is_manifest(types[i]);

        if ((index || one) && index != m->manifests.set)
            return err_new(ERR_INVALID, "a manifest is not what its media type %s says", types[i]);
    }
    if (type_is_index(m->media_type) + type_is_manifest(m->media_type) &&
        type_is_index(content_type) + type_is_manifest(content_type) &&
        !str_eq(m->media_type, content_type))
        return err_new(ERR_INVALID, "a manifest says media type %s, and its registry %s",
                       m->media_type, content_type);
    return NULL;
}

static err *check_lists(const manifest *m)
{
    if (m->manifests.n > MANIFEST_ENTRIES_MAX)
        return err_new(ERR_INVALID, "an index has more than %d manifests", MANIFEST_ENTRIES_MAX);
    if (m->layers.n > MANIFEST_LAYERS_MAX)
        return err_new(ERR_INVALID, "max depth exceeded");
    for (size_t i = 0; i < m->manifests.n; i++)
        TRY(check_descriptor(JSON_AT(m->manifests, descriptor, i)));
    for (size_t i = 0; i < m->layers.n; i++)
        TRY(check_layer(JSON_AT(m->layers, descriptor, i)));
    return m->manifests.set ? NULL : check_descriptor(&m->config);
}

/* "application/json; charset=utf-8" without what is behind the semicolon. */
static char *bare_type(const char *content_type, arena *a)
{
    const char *text = str_or(content_type, "");
    size_t n = strcspn(text, "; \t");

    return arena_strndup(a, text, n);
}

err *manifest_parse(const char *text, size_t n, const char *content_type, arena *a, manifest *ret)
{
    *ret = (manifest){0};
    if (n > MANIFEST_MAX)
        return err_new(ERR_INVALID, "a manifest is larger than %d bytes", MANIFEST_MAX);
    TRY(err_wrap(json_decode(&manifest_json, text, n, JSON_ANY_VERSION, a, ret), "manifest"));
    TRY(check_kind(ret, bare_type(content_type, a)));
    return check_lists(ret);
}

/* ---- platforms ---- */

static const char *architecture_of(const char *word)
{
    static const char *const other[][2] = {{"x86_64", "amd64"},  {"x86-64", "amd64"},
                                           {"aarch64", "arm64"}, {"i386", "386"},
                                           {"armhf", "arm"},     {"armel", "arm"}};

    for (size_t i = 0; i < COUNT(other); i++)
        if (str_eq_nocase(word, other[i][0]))
            return other[i][1];
    return word;
}

static bool is_word(const char *p)
{
    if (!*p)
        return false;
    for (; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr("_.-", *p)))
            return false;
    return true;
}

err *platform_parse(const char *text, arena *a, platform *ret)
{
    auto_strv parts = {0};

    *ret = (platform){.os = "linux", .architecture = HOST_ARCHITECTURE};
    if (str_empty(text))
        return NULL;
    strv_split(&parts, text, '/');
    for (size_t i = 0; i < parts.n; i++)
        if (!is_word(parts.v[i]) || parts.n > 3)
            return err_new(ERR_INVALID,
                           "\"%s\": unknown operating system or architecture: invalid argument",
                           text);
    if (parts.n == 1 && !str_eq_nocase(parts.v[0], "linux") &&
        !str_eq_nocase(parts.v[0], "windows")) {
        ret->architecture = arena_strdup(a, architecture_of(parts.v[0]));
        return NULL;
    }
    ret->os = arena_strdup(a, parts.v[0]);
    if (parts.n > 1)
        ret->architecture = arena_strdup(a, architecture_of(parts.v[1]));
    if (parts.n > 2)
        ret->variant = arena_strdup(a, parts.v[2]);
    if (str_eq(ret->architecture, "arm64") && str_eq(ret->variant, "v8"))
        ret->variant = NULL; /* it is the only one */
    return NULL;
}

char *platform_text(const platform *p)
{
    return xasprintf("%s/%s%s%s", p->os, p->architecture, str_empty(p->variant) ? "" : "/",
                     str_or(p->variant, ""));
}

/* "v7" as 7; what is not said is what everybody has. */
static int variant_number(const platform *p)
{
    const char *v = str_or(p->variant, "");

    if (*v == 'v' && v[1] >= '0' && v[1] <= '9')
        return v[1] - '0';
    return str_eq(p->architecture, "arm") ? 7 : str_eq(p->architecture, "amd64") ? 1 : 8;
}

/* Higher is better, 0: it does not run.  Smaller variants run on larger ones. */
static int fitness(const platform *wanted, const platform *has)
{
    int most = variant_number(wanted), its = variant_number(has);

    if (!str_eq(wanted->os, has->os))
        return 0;
    if (str_eq(wanted->architecture, "arm64") && str_eq(has->architecture, "arm"))
        return 1;
    if (!str_eq(wanted->architecture, has->architecture) || its > most)
        return 0;
    return 10 - (most - its);
}

bool platform_runs(const platform *wanted, const platform *has)
{
    return fitness(wanted, has) > 1;
}

const descriptor *manifest_choose(const manifest *index, const platform *wanted)
{
    const descriptor *best = NULL;
    int most = 0;

    for (size_t i = 0; i < index->manifests.n; i++) {
        const descriptor *d = JSON_AT(index->manifests, descriptor, i);
        int fits = fitness(wanted, &d->platform);

        if (fits > most) {
            most = fits;
            best = d;
        }
    }
    return best;
}
