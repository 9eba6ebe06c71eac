/* mounts_words.c - mounts as clients write them: Binds, Mounts, VolumesFrom; dockerd's checks.
 *
 * Any thread: nothing is looked up. */
#include "mounts.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdio.h>
#include <string.h>

/* ---- paths ---- */

char *path_clean(const char *path, arena *a)
{
    auto_strv parts = {0}, kept = {0};
    auto_buf out = {0};
    bool absolute = path[0] == '/';

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++) {
        const char *p = parts.v[i];

        if (!*p || str_eq(p, "."))
            continue;
        if (!str_eq(p, ".."))
            strv_push(&kept, p);
        else if (kept.n && !str_eq(kept.v[kept.n - 1], ".."))
            strv_pop(&kept);
        else if (!absolute)
            strv_push(&kept, p);
    }
    for (size_t i = 0; i < kept.n; i++)
        buf_printf(&out, "%s%s", i || absolute ? "/" : "", kept.v[i]);
    return arena_strdup(a, out.len ? out.data : absolute ? "/" : ".");
}

bool path_is_local(const char *path)
{
    auto_arena *a = arena_new();
    const char *clean = path_clean(path, a);

    return *path && *clean != '/' && !str_eq(clean, "..") && !str_starts(clean, "../");
}

/* ---- modes ---- */

typedef enum mode_kind {
    MODE_ACCESS,
    MODE_LABEL,
    MODE_PROPAGATION,
    MODE_COPY,
    MODE_CONSISTENCY,
    MODE_KINDS
} mode_kind;

static const struct {
    const char *word;
    mode_kind kind;
} mode_words[] = {
    {"ro", MODE_ACCESS},
    {"rw", MODE_ACCESS},
    {"z", MODE_LABEL},
    {"Z", MODE_LABEL},
    {"shared", MODE_PROPAGATION},
    {"rshared", MODE_PROPAGATION},
    {"slave", MODE_PROPAGATION},
    {"rslave", MODE_PROPAGATION},
    {"private", MODE_PROPAGATION},
    {"rprivate", MODE_PROPAGATION},
    {"nocopy", MODE_COPY},
    {"consistent", MODE_CONSISTENCY},
    {"cached", MODE_CONSISTENCY},
    {"delegated", MODE_CONSISTENCY},
    {"default", MODE_CONSISTENCY},
};

static bool kind_of(const char *word, mode_kind *ret)
{
    for (size_t i = 0; i < COUNT(mode_words); i++) {
        if (!str_eq(mode_words[i].word, word))
            continue;
        *ret = mode_words[i].kind;
        return true;
    }
    return false;
}

/* At most one word of each kind; ret[kind] is it, or NULL. */
static bool mode_parse(const char *mode, arena *a, const char *ret[MODE_KINDS])
{
    auto_strv words = {0};
    mode_kind kind;

    memset(ret, 0, MODE_KINDS * sizeof(*ret));
    if (!*mode)
        return true;
    strv_split(&words, mode, ',');
    for (size_t i = 0; i < words.n; i++) {
        if (!kind_of(words.v[i], &kind) || ret[kind])
            return false;
        ret[kind] = arena_strdup(a, words.v[i]);
    }
    return true;
}

/* ---- Binds ---- */

static err *spec_invalid(const char *text)
{
    return err_new(ERR_INVALID, "invalid volume specification: '%s'", text);
}

/* The three parts; an empty source stands for an anonymous volume. */
static err *bind_split(const char *text, arena *a, const char **source, const char **target,
                       const char **mode)
{
    const char *kinds[MODE_KINDS];
    auto_strv parts = {0};

    strv_split(&parts, text, ':');
    if (parts.n < 1 || parts.n > 3 || !*parts.v[0])
        return spec_invalid(text);
    if (parts.n == 2 && mode_parse(parts.v[1], a, kinds)) /* "/dst:rw" is not one */
        return spec_invalid(text);
    *source = arena_strdup(a, parts.n == 1 ? "" : parts.v[0]);
    *target = arena_strdup(a, parts.n == 1 ? parts.v[0] : parts.v[1]);
    *mode = arena_strdup(a, parts.n == 3 ? parts.v[2] : "");
    return NULL;
}

err *bind_parse(const char *text, arena *a, mount_wish *ret, const char **ret_mode)
{
    const char *source = NULL, *target = NULL, *mode = NULL, *kinds[MODE_KINDS];
    mount_wish w = {0};

    TRY(bind_split(text, a, &source, &target, &mode));
    if (!mode_parse(mode, a, kinds))
        return err_new(ERR_INVALID, "invalid mode: %s", mode);
    w.type = arena_strdup(a, *source == '/' ? "bind" : "volume");
    w.source = (char *)source;
    w.target = (char *)target;
    w.read_only = str_eq(kinds[MODE_ACCESS], "ro");
    if (kinds[MODE_COPY]) {
        w.volume = arena_alloc(a, sizeof(*w.volume));
        w.volume->no_copy = true;
    }
    if (kinds[MODE_PROPAGATION]) {
        w.bind = arena_alloc(a, sizeof(*w.bind));
        w.bind->propagation = (char *)kinds[MODE_PROPAGATION];
    }
    if (!*source && w.read_only)
        w.read_only = false;
    TRY(err_wrap(mount_check(&w, a), "invalid volume specification: '%s'", text));
    *ret = w;
    *ret_mode = mode;
    return NULL;
}

err *volumes_from_parse(const char *text, arena *a, char **ret_ref, bool *ret_rw)
{
    const char *colon = strchr(text, ':'), *mode = colon ? colon + 1 : "rw", *kinds[MODE_KINDS];

    if (!*text)
        return err_new(ERR_INVALID, "volumes-from specification cannot be an empty string");
    if (!*mode || !mode_parse(mode, a, kinds) || kinds[MODE_PROPAGATION] || kinds[MODE_COPY])
        return err_new(ERR_INVALID, "invalid mode: %s", mode);
    *ret_ref = arena_strndup(a, text, colon ? (size_t)(colon - text) : strlen(text));
    *ret_rw = !str_eq(kinds[MODE_ACCESS], "ro");
    return NULL;
}

/* ---- tmpfs ---- */

/* [["exec"], ["size", "1m"]]: lists of one or two strings; only words without escapes mean
 * anything. */
static err *tmpfs_pair(const char **at, char word[32])
{
    size_t n = strcspn(*at + 1, "\"\\");

    if (**at != '"' || (*at)[n + 1] != '"' || n >= 32)
        return err_new(ERR_INVALID, "invalid option array length");
    memcpy(word, *at + 1, n);
    word[n] = '\0';
    *at += n + 2;
    return NULL;
}

static err *tmpfs_options(const char *text, strv *words)
{
    const char *at = text;
    char word[32];

    if (str_empty(text) || str_eq(text, "null") || str_eq(text, "[]"))
        return NULL;
    if (*at++ != '[')
        return err_new(ERR_INVALID, "invalid option array length");
    for (;;) {
        if (*at++ != '[')
            return err_new(ERR_INVALID, "invalid option array length");
        TRY(tmpfs_pair(&at, word));
        if (!str_eq(word, "exec") && !str_eq(word, "noexec"))
            return err_new(ERR_INVALID, "invalid option: %s", word);
        if (at[0] != ']')
            return err_new(ERR_INVALID, "invalid option: %s", word);
        strv_push(words, word);
        at++;
        if (*at == ']')
            return NULL;
        if (*at++ != ',')
            return err_new(ERR_INVALID, "invalid option array length");
    }
}

static void size_word(int64_t bytes, strv *words)
{
    static const struct {
        int64_t unit;
        const char *suffix;
    } units[] = {{1 << 30, "g"}, {1 << 20, "m"}, {1 << 10, "k"}, {1, ""}};

    for (size_t i = 0; i < COUNT(units); i++) {
        if (bytes % units[i].unit)
            continue;
        strv_pushf(words, "size=%lld%s", (long long)(bytes / units[i].unit), units[i].suffix);
        return;
    }
}

err *tmpfs_words(const mount_wish *w, arena *a, char **ret)
{
    auto_strv words = {0};
    auto_buf out = {0};

    if (w->read_only)
        strv_push(&words, "ro");
    if (w->tmpfs && w->tmpfs->mode)
        strv_pushf(&words, "mode=%llo", (unsigned long long)w->tmpfs->mode & 07777);
    if (w->tmpfs && w->tmpfs->size_bytes < 0)
        return err_new(ERR_INVALID, "invalid size: %lld", (long long)w->tmpfs->size_bytes);
    if (w->tmpfs && w->tmpfs->size_bytes)
        size_word(w->tmpfs->size_bytes, &words);
    if (w->tmpfs)
        TRY(tmpfs_options(w->tmpfs->options.text, &words));
    for (size_t i = 0; i < words.n; i++)
        buf_printf(&out, "%s%s", i ? "," : "", words.v[i]);
    *ret = arena_strdup(a, out.len ? out.data : "");
    return NULL;
}

/* ---- Mounts ---- */

static err *absolute_check(const char *path)
{
    if (path[0] != '/')
        return err_new(ERR_INVALID, "invalid mount path: '%s' mount path must be absolute", path);
    return NULL;
}

static err *extra_check(const mount_wish *w, bool bind, bool volume, bool image)
{
    const char *field = w->bind && !bind       ? "BindOptions"
                        : w->volume && !volume ? "VolumeOptions"
                        : w->image && !image   ? "ImageOptions"
                                               : NULL;

    return field ? err_new(ERR_INVALID, "field %s must not be specified", field) : NULL;
}

static err *subpath_check(const char *subpath)
{
    if (str_empty(subpath) || path_is_local(subpath))
        return NULL;
    return err_new(ERR_INVALID, "subpath must be a relative path within the volume");
}

static err *readonly_check(const mount_wish *w)
{
    const mount_bind_options *b = w->bind;

    if (!b)
        return NULL;
    if (b->read_only_non_recursive && !w->read_only)
        return err_new(ERR_INVALID, "mount source must be read-only to use ReadOnlyNonRecursive");
    if (!b->read_only_force_recursive)
        return NULL;
    if (!w->read_only)
        return err_new(ERR_INVALID, "mount source must be read-only to use ReadOnlyForceRecursive");
    if (b->read_only_non_recursive)
        return err_new(ERR_INVALID,
                       "ReadOnlyForceRecursive and ReadOnlyNonRecursive are mutually exclusive");
    if (!str_empty(b->propagation) && !str_eq(b->propagation, "rprivate"))
        return err_new(ERR_INVALID,
                       "ReadOnlyForceRecursive requires the propagation mode rprivate");
    return NULL;
}

static err *bind_check(const mount_wish *w)
{
    mode_kind kind;

    if (str_empty(w->source))
        return err_new(ERR_INVALID, "field Source must not be empty");
    if (w->bind && !str_empty(w->bind->propagation) &&
        (!kind_of(w->bind->propagation, &kind) || kind != MODE_PROPAGATION))
        return err_new(ERR_INVALID, "invalid propagation mode: %s", w->bind->propagation);
    TRY(readonly_check(w));
    TRY(extra_check(w, true, false, false));
    return absolute_check(w->source);
}

static err *volume_check(const mount_wish *w)
{
    bool has_subpath = w->volume && !str_empty(w->volume->subpath);

    TRY(extra_check(w, false, true, false));
    if (has_subpath && str_empty(w->source))
        return err_new(ERR_INVALID, "must not set Subpath when using anonymous volumes");
    if (has_subpath)
        TRY(subpath_check(w->volume->subpath));
    if (w->read_only && str_empty(w->source))
        return err_new(ERR_INVALID, "must not set ReadOnly mode when using anonymous volumes");
    return NULL;
}

static err *tmpfs_check(const mount_wish *w, arena *a)
{
    char *words;

    TRY(extra_check(w, false, false, false));
    if (!str_empty(w->source))
        return err_new(ERR_INVALID, "field Source must not be specified");
    return tmpfs_words(w, a, &words);
}

static err *image_check(const mount_wish *w)
{
    TRY(extra_check(w, false, false, true));
    if (str_empty(w->source))
        return err_new(ERR_INVALID, "field Source must not be empty");
    return subpath_check(w->image ? w->image->subpath : NULL);
}

static err *fields_check(const mount_wish *w, arena *a)
{
    if (str_empty(w->target))
        return err_new(ERR_INVALID, "field Target must not be empty");
    if (str_eq(path_clean(w->target, a), "/"))
        return err_new(ERR_INVALID, "invalid specification: destination can't be '/'");
    TRY(absolute_check(w->target));
    if (str_eq(w->type, "bind"))
        return bind_check(w);
    if (str_eq(w->type, "volume"))
        return volume_check(w);
    if (str_eq(w->type, "tmpfs"))
        return tmpfs_check(w, a);
    if (str_eq(w->type, "image"))
        return image_check(w);
    return err_new(ERR_INVALID, "mount type unknown");
}

/* A false /proc would lead the runtime's own writes astray.  These files of it may be replaced, as
 * runc allows; and what is the host's own proc is no lie. */
static err *proc_check(const char *destination, const char *bind_source)
{
    static const char *const harmless[] = {"/proc/cpuinfo",
                                           "/proc/diskstats",
                                           "/proc/meminfo",
                                           "/proc/stat",
                                           "/proc/swaps",
                                           "/proc/uptime",
                                           "/proc/loadavg",
                                           "/proc/slabinfo",
                                           "/proc/sys/kernel/ns_last_pid",
                                           "/proc/sys/crypto/fips_enabled"};

    if (!str_eq(destination, "/proc") && !str_starts(destination, "/proc/"))
        return NULL;
    if (bind_source && (str_eq(bind_source, "/proc") || str_starts(bind_source, "/proc/")))
        return NULL;
    for (size_t i = 0; i < COUNT(harmless); i++)
        if (str_eq(destination, harmless[i]))
            return NULL;
    if (str_eq(destination, "/proc"))
        return err_new(ERR_INVALID, "\"/proc\" cannot be mounted because it is not of type proc");
    return err_new(ERR_INVALID, "\"%s\" cannot be mounted because it is inside /proc", destination);
}

err *mount_point_check(const mount_record *rec)
{
    return proc_check(rec->destination, str_eq(rec->type, "bind") ? rec->source : NULL);
}

err *mount_check(const mount_wish *w, arena *a)
{
    return err_wrap(fields_check(w, a), "invalid mount config for type \"%s\"",
                    str_or(w->type, ""));
}

/* ---- what older clients mean ---- */

static err *options_match(const mount_wish *w)
{
    const char *extra = w->bind && !str_eq(w->type, "bind")       ? "BindOptions"
                        : w->volume && !str_eq(w->type, "volume") ? "VolumeOptions"
                        : w->tmpfs && !str_eq(w->type, "tmpfs")   ? "TmpfsOptions"
                        : w->image && !str_eq(w->type, "image")   ? "ImageOptions"
                                                                  : NULL;

    if (!extra)
        return NULL;
    return err_new(ERR_INVALID, "%s must not be specified on mount type \"%s\"", extra,
                   str_or(w->type, ""));
}

static void drop_mismatched(mount_wish *w)
{
    if (w->bind)
        w->bind->create_mountpoint = false;
    if (!str_eq(w->type, "bind"))
        w->bind = NULL;
    if (!str_eq(w->type, "volume"))
        w->volume = NULL;
    if (!str_eq(w->type, "tmpfs"))
        w->tmpfs = NULL;
}

static err *mount_of_version(mount_wish *w, int version)
{
    if (version < 40 && w->bind)
        w->bind->non_recursive = false;
    if (version < 42)
        drop_mismatched(w);
    else
        TRY(options_match(w));
    if (version < 44 && w->bind) {
        if (w->bind->read_only_force_recursive)
            return err_new(ERR_INVALID,
                           "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
        w->bind->read_only_non_recursive = false;
    }
    if (version < 45 && w->volume && !str_empty(w->volume->subpath))
        return err_new(ERR_INVALID, "VolumeOptions.Subpath needs API v1.45 or newer");
    if (version < 48 && str_eq(w->type, "image"))
        return err_new(ERR_INVALID, "Mount type \"Image\" needs API v1.48 or newer");
    return NULL;
}

err *mounts_of_version(json_list *mounts, int api_version)
{
    if (mounts->n > MOUNTS_MAX)
        return err_new(ERR_INVALID, "too many mounts: at most %d", MOUNTS_MAX);
    for (size_t i = 0; i < mounts->n; i++)
        TRY(mount_of_version(JSON_AT(*mounts, mount_wish, i), api_version));
    return NULL;
}
