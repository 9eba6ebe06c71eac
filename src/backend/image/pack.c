/* pack.c - writing a tree as a tar.
 *
 * From one descriptor to the next, no link is followed; names in order, hard links as links.
 * libarchive makes the headers (pax where ustar has no room); a file's bytes go out as they are
 * read.  Runs in a helper: it blocks, one thread. */
#include "pack.h"
#include <archive.h>
#include <archive_entry.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <uthash.h>

enum { BLOCK = 1 << 20, DEPTH_MAX = 2048, CAPABILITY_MAX = 64, LINKS_MAX = 1 << 20 };
#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif

typedef struct linked {
    struct {
        dev_t dev;
        ino_t ino;
    } key;
    char *as;
    UT_hash_handle hh;
} linked;

struct packer {
    struct archive *a;
    struct archive_entry *entry;
    int out;
    linked *links;
    char *block;
    const strv *opaques; /* of a layer; NULL: it is none */
};

bool is_kernel_fs(int fd)
{
    static const unsigned long kinds[] = {
        PROC_SUPER_MAGIC,   SYSFS_MAGIC,   CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
        DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,      SECURITYFS_MAGIC,
        BPF_FS_MAGIC,       MQUEUE_MAGIC};
    struct statfs fs;

    for (size_t i = 0; fstatfs(fd, &fs) == 0 && i < COUNT(kinds); i++)
        if ((unsigned long)fs.f_type == kinds[i])
            return true;
    return false;
}

static la_ssize_t write_out(struct archive *a, void *arg, const void *p, size_t n)
{
    packer *pk = arg;
    ssize_t w;

    (void)a;
    do
        w = write(pk->out, p, n);
    while (w < 0 && errno == EINTR);
    return w;
}

packer *packer_new(int out_fd)
{
    packer *p = new0(packer);

    p->out = out_fd;
    p->block = xmalloc(BLOCK);
    p->entry = archive_entry_new();
    p->a = archive_write_new();
    archive_write_set_format_pax_restricted(p->a);
    archive_write_set_options(p->a, "hdrcharset=BINARY");
    archive_write_set_bytes_per_block(p->a, BLOCK);
    archive_write_set_bytes_in_last_block(p->a, 1);
    archive_write_open(p->a, p, NULL, write_out, NULL);
    return p;
}

void packer_free(packer *p)
{
    linked *l, *next;

    HASH_ITER (hh, p->links, l, next) {
        HASH_DEL(p->links, l);
        free(l->as);
        free(l);
    }
    archive_entry_free(p->entry);
    archive_write_free(p->a);
    free(p->block);
    free(p);
}

static err *failed(const packer *p, const char *as)
{
    int errnum = archive_errno(p->a);

    return errnum > 0 ? err_errno(errnum, "write %s", as)
                      : err_new(ERR_SYSTEM, "write %s: %s", as, archive_error_string(p->a));
}

static err *put_header(packer *p, const char *as)
{
    return archive_write_header(p->a, p->entry) < ARCHIVE_WARN ? failed(p, as) : NULL;
}

static void fill(packer *p, const char *as, const struct stat *st)
{
    archive_entry_clear(p->entry);
    archive_entry_set_pathname(p->entry, as);
    archive_entry_set_mode(p->entry, st->st_mode);
    archive_entry_set_uid(p->entry, st->st_uid);
    archive_entry_set_gid(p->entry, st->st_gid);
    archive_entry_set_mtime(p->entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    archive_entry_set_size(p->entry, S_ISREG(st->st_mode) ? st->st_size : 0);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        archive_entry_set_rdevmajor(p->entry, major(st->st_rdev));
        archive_entry_set_rdevminor(p->entry, minor(st->st_rdev));
    }
}

/* ---- files ---- */

/* True: it was written as a link to what came before. */
static bool put_link(packer *p, const char *as, const struct stat *st, err **ret)
{
    linked probe = {0}, *l = NULL;

    *ret = NULL;
    if (st->st_nlink < 2)
        return false;
    probe.key.dev = st->st_dev;
    probe.key.ino = st->st_ino;
    HASH_FIND(hh, p->links, &probe.key, sizeof probe.key, l);
    if (l) {
        fill(p, as, st);
        archive_entry_set_size(p->entry, 0);
        archive_entry_set_hardlink(p->entry, l->as);
        *ret = put_header(p, as);
        return true;
    }
    if (HASH_COUNT(p->links) < LINKS_MAX) {
        l = new0(linked);
        l->key = probe.key;
        l->as = xstrdup(as);
        HASH_ADD(hh, p->links, key, sizeof l->key, l);
    }
    return false;
}

/* A file that shrinks meanwhile is filled up with zeros: its header has gone already. */
static err *put_bytes(packer *p, int fd, const char *as, int64_t left)
{
    while (left > 0) {
        size_t want = left < BLOCK ? (size_t)left : BLOCK;
        ssize_t n = read(fd, p->block, want);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(errno, "read %s", as);
        if (n == 0) {
            memset(p->block, 0, want);
            n = (ssize_t)want;
        }
        if (archive_write_data(p->a, p->block, (size_t)n) < 0)
            return failed(p, as);
        left -= n;
    }
    return NULL;
}

static err *put_file(packer *p, int dir, const char *name, const char *as)
{
    auto_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char capability[CAPABILITY_MAX];
    struct stat st;
    ssize_t n;
    err *e;

    if (fd < 0 || fstat(fd, &st) < 0)
        return errno == ENOENT ? NULL : err_errno(errno, "open %s", as);
    if (!S_ISREG(st.st_mode))
        return NULL; /* it was swapped: what it is now is looked at the next time */
    if (put_link(p, as, &st, &e))
        return e;
    fill(p, as, &st);
    n = fgetxattr(fd, "security.capability", capability, sizeof capability);
    if (n > 0)
        archive_entry_xattr_add_entry(p->entry, "security.capability", capability, (size_t)n);
    TRY(put_header(p, as));
    return put_bytes(p, fd, as, st.st_size);
}

static err *put_symlink(packer *p, int dir, const char *name, const char *as, const struct stat *st)
{
    char target[4096];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);

    if (n < 0)
        return errno == ENOENT || errno == EINVAL ? NULL : err_errno(errno, "read link %s", as);
    target[n] = '\0';
    fill(p, as, st);
    archive_entry_set_symlink(p->entry, target);
    return put_header(p, as);
}

/* ---- what a layer hides ---- */

static err *put_marker(packer *p, const char *as)
{
    fill(p, as, &(struct stat){.st_mode = S_IFREG | 0600});
    return put_header(p, as);
}

static err *put_whiteout(packer *p, const char *as)
{
    const char *slash = strrchr(as, '/');
    int n = slash ? (int)(slash - as) + 1 : 0;
    auto_free char *marker = xasprintf("%.*s.wh.%s", n, as, as + n);

    return put_marker(p, marker);
}

/* ---- directories ---- */

static err *put_entry(packer *p, int dir, const char *name, const char *as, unsigned depth);

static err *put_content(packer *p, int fd, const char *as, unsigned depth)
{
    struct dirent **list = NULL;
    int n = scandirat(fd, ".", &list, NULL, alphasort);
    err *e = n < 0 ? err_errno(errno, "list %s", as) : NULL;

    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        auto_free char *its = xasprintf("%s%s", as, name);

        if (!e && !str_eq(name, ".") && !str_eq(name, ".."))
            e = put_entry(p, fd, name, its, depth + 1);
        free(list[i]);
    }
    free(list);
    return e;
}

static err *put_directory(packer *p, int dir, const char *name, const char *as, unsigned depth)
{
    auto_close int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_free char *slashed = xasprintf("%s/", as);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? NULL
                   : err_errno(errno, "open %s", as);
    if (depth > DEPTH_MAX)
        return err_new(ERR_INVALID, "%s is too deep", as);
    fill(p, slashed, &st);
    TRY(put_header(p, slashed));
    if (p->opaques && strv_has(p->opaques, as)) {
        auto_free char *marker = xasprintf("%s.wh..wh..opq", slashed);

        TRY(put_marker(p, marker));
    }
    return is_kernel_fs(fd) ? NULL : put_content(p, fd, slashed, depth);
}

static err *put_entry(packer *p, int dir, const char *name, const char *as, unsigned depth)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : err_errno(errno, "stat %s", as);
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        return put_file(p, dir, name, as);
    case S_IFDIR:
        return put_directory(p, dir, name, as, depth);
    case S_IFLNK:
        return put_symlink(p, dir, name, as, &st);
    case S_IFSOCK:
        return NULL;
    default:
        if (p->opaques && S_ISCHR(st.st_mode) && !st.st_rdev)
            return put_whiteout(p, as);
        fill(p, as, &st);
        return put_header(p, as);
    }
}

err *packer_add(packer *p, int dir, const char *name, const char *as)
{
    return put_entry(p, dir, name, str_eq(as, "/") ? "" : as, 0);
}

err *packer_add_content(packer *p, int dir)
{
    return put_content(p, dir, "", 0);
}

err *packer_add_layer(packer *p, int dir, const strv *opaques)
{
    p->opaques = opaques;
    return packer_add_content(p, dir);
}

err *packer_finish(packer *p)
{
    return archive_write_close(p->a) == ARCHIVE_OK ? NULL : failed(p, "the archive");
}
