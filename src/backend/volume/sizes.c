/* sizes.c - how much volumes hold.
 *
 * The walk goes from descriptor to descriptor and follows no link: whatever a container changes
 * meanwhile, it stays below.  volume_tree_size runs on a worker, the rest on the loop. */
#include "private.h"
#include <berth/job.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEPTH_MAX = 256,     /* descriptors; what is deeper is not counted */
    LINKS_MAX = 1 << 20, /* files with several names that are remembered */
};

typedef struct seen_link {
    struct {
        dev_t dev;
        ino_t ino;
    } key;
    UT_hash_handle hh;
} seen_link;

typedef struct tally {
    int64_t bytes;
    seen_link *links;
} tally;

static bool is_first_name(tally *t, const struct stat *st)
{
    seen_link *l, *found = NULL;

    if (st->st_nlink < 2 || HASH_COUNT(t->links) >= LINKS_MAX)
        return true;
    l = new0(seen_link);
    l->key.dev = st->st_dev;
    l->key.ino = st->st_ino;
    HASH_FIND(hh, t->links, &l->key, sizeof(l->key), found);
    if (found) {
        free(l);
        return false;
    }
    HASH_ADD(hh, t->links, key, sizeof(l->key), l);
    return true;
}

static void add_below(tally *t, int fd, unsigned depth)
{
    DIR *d = fdopendir(fd); /* takes fd */
    struct dirent *ent;
    struct stat st;

    if (!d) {
        close(fd);
        return;
    }
    while ((ent = readdir(d))) {
        if (str_eq(ent->d_name, ".") || str_eq(ent->d_name, "..") ||
            fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            int below = depth < DEPTH_MAX ? openat(dirfd(d), ent->d_name,
                                                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                                          : -1;

            if (below >= 0)
                add_below(t, below, depth + 1);
        } else if (is_first_name(t, &st)) {
            t->bytes += st.st_size;
        }
    }
    closedir(d);
}

err *volume_tree_size(const char *path, int64_t *ret_bytes)
{
    tally t = {0};
    seen_link *l, *next;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return err_errno(errno, "open %s", path);
    add_below(&t, fd, 0);
    HASH_ITER (hh, t.links, l, next) {
        HASH_DEL(t.links, l);
        free(l);
    }
    *ret_bytes = t.bytes;
    return NULL;
}

/* ---- GET /system/df ---- */

typedef struct measuring {
    arena *arena;
    json_list list; /* of volume_info */
    volumes_measured_done *done;
    void *arg;
    struct measuring *next; /* who waits for the same figures */
} measuring;

static measuring *running;

/* A volume of which nothing can be read has a size that nobody knows: -1, as dockerd. */
static err *job_measure(void *arg)
{
    measuring *m = arg;

    for (size_t i = 0; i < m->list.n; i++) {
        volume_info *info = JSON_AT(m->list, volume_info, i);
        err *e = volume_tree_size(info->mountpoint, &info->usage->size);

        if (e)
            info->usage->size = -1;
        err_free(e);
    }
    return NULL;
}

static void on_measured(void *arg, err *e)
{
    measuring *m = arg, *next;

    running = NULL;
    err_free(e);
    for (measuring *w = m; w; w = w->next)
        w->done(w->arg, NULL, &m->list);
    arena_free(m->arena);
    for (; m; m = next) {
        next = m->next;
        free(m);
    }
}

void volumes_measure(volumes_measured_done *done, void *arg)
{
    measuring *m = new0(measuring);

    m->done = done;
    m->arg = arg;
    if (running) { /* one computation for all who ask meanwhile */
        m->next = running->next;
        running->next = m;
        return;
    }
    m->arena = arena_new();
    for (volume *v = volumes_by_name; v; v = v->hh.next) {
        volume_info *info, here;

        if (v->stage != VOLUME_HERE)
            continue;
        volume_describe(v, m->arena, &here);
        info = json_list_add(&m->list, m->arena, &volume_info_json);
        json_copy(&volume_info_json, &here, m->arena, info);
        info->usage = arena_alloc(m->arena, sizeof(*info->usage));
        info->usage->ref_count = (int64_t)v->holders.n;
    }
    running = m;
    job_begin_slow("volume.measure", job_measure, m, on_measured);
}
