/* volumes.c - the set of volumes: by name, in the store, beside their data; who holds them.
 *
 * A volume's record lies in the store and once more in its directory, so that a lost store costs no
 * volume.  Loop thread only, except volumes_init, which blocks. */
#include "private.h"
#include <berth/events.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

JSON_DEFINE(volume_record, VOLUME_RECORD)

enum { RECORD_MAX = 16 << 20, NS_PER_S = 1000 * 1000 * 1000 };

volume *volumes_by_name;
char *volumes_root;

/* ---- one ---- */

volume *volume_new(const volume_record *rec)
{
    volume *v = new0(volume);

    v->refs = 1;
    v->arena = arena_new();
    json_copy(&volume_record_json, rec, v->arena, &v->rec);
    v->stage = VOLUME_HERE;
    v->dir = xasprintf("%s/%s", volumes_root, rec->name);
    v->data = xasprintf("%s/_data", v->dir);
    return v;
}

volume *volume_ref(volume *v)
{
    v->refs++;
    return v;
}

void volume_unref(volume *v)
{
    if (!v || --v->refs)
        return;
    assert(!v->use_runs && !v->uses_first);
    strv_done(&v->holders);
    strv_done(&v->users);
    free(v->dir);
    free(v->data);
    arena_free(v->arena);
    free(v);
}

const char *volume_name(const volume *v)
{
    return v->rec.name;
}

const char *volume_mountpoint(const volume *v)
{
    return v->data;
}

bool volume_is_anonymous(const volume *v)
{
    return json_map_get(&v->rec.labels, VOLUME_ANONYMOUS_LABEL) != NULL;
}

char *volume_gone_path(const volume *v)
{
    return xasprintf("%s/.gone/%s", volumes_root, v->rec.name);
}

char *volume_making_path(const char *name)
{
    return xasprintf("%s/.making/%s", volumes_root, name);
}

void volume_describe(const volume *v, arena *a, volume_info *ret)
{
    char text[TIME_TEXT];

    time_rfc3339(v->rec.created_ns / NS_PER_S * NS_PER_S, text); /* to the second, as dockerd */
    *ret = (volume_info){.created_at = arena_strdup(a, text),
                         .driver = (char *)VOLUME_DRIVER,
                         .labels = v->rec.labels,
                         .mountpoint = arena_strdup(a, v->data),
                         .name = arena_strdup(a, v->rec.name),
                         .options = v->rec.options,
                         .scope = (char *)"local"};
}

void volume_hold(volume *v, const char *holder)
{
    if (!strv_has(&v->holders, holder))
        strv_push(&v->holders, holder);
}

void volume_release(volume *v, const char *holder)
{
    strv_take_out(&v->holders, holder);
}

void volume_event(const volume *v, const char *action, ...)
{
    auto_arena *a = arena_new();
    json_map attrs = {0};
    va_list ap;
    const char *key;

    json_map_set(&attrs, a, "driver", VOLUME_DRIVER);
    va_start(ap, action);
    while ((key = va_arg(ap, const char *)))
        json_map_set(&attrs, a, key, va_arg(ap, const char *));
    va_end(ap);
    event_emit("volume", action, v->rec.name, &attrs);
}

/* ---- all ---- */

void registry_put(volume *v)
{
    volume_ref(v);
    HASH_ADD_KEYPTR(hh, volumes_by_name, v->rec.name, strlen(v->rec.name), v);
}

void registry_drop(volume *v)
{
    HASH_DEL(volumes_by_name, v);
    volume_unref(v);
}

volume *volume_by_name(const char *name)
{
    volume *v = NULL;

    HASH_FIND(hh, volumes_by_name, name, strlen(name), v);
    return v;
}

bool volume_is_coming(const volume *v)
{
    return v->stage == VOLUME_COMING;
}

err *volume_find(const char *name, volume **ret_v)
{
    volume *v = volume_by_name(name);

    if (!v || v->stage == VOLUME_COMING)
        return err_new(ERR_NOT_FOUND, "get %s: no such volume", name);
    *ret_v = v;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(volume *const *)a)->rec.name, (*(volume *const *)b)->rec.name);
}

err *volumes_list(const filters *f, arena *a, volume ***ret_list, size_t *ret_n)
{
    bool dangling = false, asked = filters_has(f, "dangling");
    size_t n = 0;
    volume *v, *next;

    TRY(filters_bool(f, "dangling", false, &dangling));
    *ret_list = arena_alloc(a, (HASH_COUNT(volumes_by_name) + 1) * sizeof(**ret_list));
    HASH_ITER (hh, volumes_by_name, v, next) {
        if (v->stage != VOLUME_COMING && (!asked || dangling == !v->holders.n) &&
            filters_match_exact(f, "driver", VOLUME_DRIVER) &&
            filters_match_labels(f, "label", &v->rec.labels) &&
            filters_match_regex(f, "name", v->rec.name))
            (*ret_list)[n++] = v;
    }
    qsort(*ret_list, n, sizeof(**ret_list), by_name);
    *ret_n = n;
    return NULL;
}

/* ---- at the start ---- */

static err *load_record(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    volume_record rec = {0};
    err *e = json_decode(&volume_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec);
    volume *v;

    (void)arg;
    if (e || !str_eq(rec.name, key)) {
        err_free(e);
        log_error("a volume's record is damaged: what its directory says counts", "name", key);
        return NULL;
    }
    v = volume_new(&rec);
    registry_put(v);
    volume_unref(v);
    return NULL;
}

static err *read_record(const char *dir, arena *a, volume_record *ret)
{
    auto_free char *path = xasprintf("%s/volume.json", dir);
    auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    char *text;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(errno, "open %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size > RECORD_MAX)
        return err_new(ERR_INVALID, "%s is no record", path);
    text = arena_alloc(a, (size_t)st.st_size + 1);
    n = read(fd, text, (size_t)st.st_size);
    if (n < 0)
        return err_errno(errno, "read %s", path);
    return json_decode(&volume_record_json, text, (size_t)n, JSON_ANY_VERSION, a, ret);
}

/* A directory that the store does not know: somebody put it there, or the store was lost. */
static void adopt(const char *name)
{
    auto_arena *a = arena_new();
    auto_free char *dir = xasprintf("%s/%s", volumes_root, name),
                   *data = xasprintf("%s/_data", dir);
    volume_record rec = {0};
    struct stat st;
    volume *v;
    err *e;

    if (lstat(data, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    err_free(read_record(dir, a, &rec)); /* without one it is a plain volume */
    rec.name = (char *)name;
    if (!rec.created_ns)
        rec.created_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if ((e = volume_options_check(&rec.options))) { /* not one of ours */
        err_free(e);
        rec.options = (json_map){0};
    }
    v = volume_new(&rec);
    registry_put(v);
    v->unsaved = true; /* the store takes nothing before all rooms have read it */
    volume_unref(v);
    log_warn("a directory among the volumes is one from now on", "name", name);
}

static void for_each_name(const char *dir, void (*fn)(const char *name, bool rebuilt), bool rebuilt)
{
    auto_closedir DIR *d = opendir(dir);
    struct dirent *ent;

    while (d && (ent = readdir(d)))
        if (ent->d_name[0] != '.')
            fn(ent->d_name, rebuilt);
}

static bool is_known(const char *name)
{
    return volume_by_name(name) != NULL;
}

/* A creation that was cut off: nobody was told of it.  Without the store nobody can say so. */
static void finish_making(const char *name, bool rebuilt)
{
    auto_free char *marker = volume_making_path(name),
                   *dir = xasprintf("%s/%s", volumes_root, name),
                   *data = xasprintf("%s/_data", dir);
    err *e = NULL;

    if (!rebuilt && !is_known(name)) {
        e = path_unmount(data);
        if (!e)
            e = tree_remove(dir);
    }
    if (e)
        err_log(e, "what is left of a volume could not be removed");
    else
        (void)unlink(marker);
}

/* A removal that was cut off: gone if it was durable, else back in its place. */
static void finish_removal(const char *name, bool rebuilt)
{
    auto_free char *gone = xasprintf("%s/.gone/%s", volumes_root, name),
                   *dir = xasprintf("%s/%s", volumes_root, name),
                   *data = xasprintf("%s/_data", gone);
    err *e;

    if ((rebuilt || is_known(name)) &&
        renameat2(AT_FDCWD, gone, AT_FDCWD, dir, RENAME_NOREPLACE) == 0)
        return;
    e = path_unmount(data);
    if (!e)
        e = tree_remove(gone);
    if (e)
        err_log(e, "what is left of a volume could not be removed");
}

static bool name_is_good(const char *name)
{
    err *e = volume_name_check(name);

    err_free(e);
    return !e;
}

static void adopt_unknown(const char *name, bool rebuilt)
{
    (void)rebuilt;
    if (!is_known(name) && name_is_good(name))
        adopt(name);
}

/* The directory of a volume that somebody took away is there again, empty. */
static void complete(void)
{
    for (volume *v = volumes_by_name; v; v = v->hh.next) {
        if (access(v->data, F_OK) < 0)
            err_log(tree_make(v->data, 0755), "a volume's directory is not there");
        v->mounted = path_is_mounted(v->data);
    }
}

err *volumes_init(const char *data_root, bool rebuilt)
{
    static const char *const dirs[] = {".making", ".gone"};

    free(volumes_root);
    volumes_root = xasprintf("%s/volumes", data_root);
    TRY(tree_make(volumes_root, 0701));
    TRY(store_each("volumes", load_record, NULL));
    for (size_t i = 0; i < COUNT(dirs); i++) {
        auto_free char *path = xasprintf("%s/%s", volumes_root, dirs[i]);

        TRY(tree_make(path, 0700));
        for_each_name(path, i == 0 ? finish_making : finish_removal, rebuilt);
    }
    for_each_name(volumes_root, adopt_unknown, rebuilt);
    complete();
    return NULL;
}

void volumes_done(void)
{
    volume *v, *next;

    HASH_ITER (hh, volumes_by_name, v, next) {
        registry_drop(v);
    }
    free(take(volumes_root));
}
