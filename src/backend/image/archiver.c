/* archiver.c - the helper process that reads and writes files of a container.
 *
 * A path is resolved by openat2 from the container's root, which is also this process's root: links
 * of the container lead nowhere else, whoever swaps them meanwhile.  Runs in the helper: it blocks,
 * one thread. */
#include "apply.h"
#include "confine.h"
#include "member.h"
#include "pack.h"
#include <berth/archiver.h>
#include <berth/buf.h>
#include <berth/json.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/mount.h>

enum { IN_FD = 0, OUT_FD = 1, ROOT_FD = 3, MOUNTS_FD = 4, BLOCK = 1 << 20, FILTERS_MAX = 2 };

typedef struct task {
    const char *operation, *path;
    bool keep_kinds, has_owner, mounts;
    unsigned uid, gid;
    const char *place;  /* for the root */
    char **mount_words; /* mode, destination, ... */
    int n_mounts;
} task;

static void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
static void die(int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    _exit(status);
}

/* An error of the host's is not the archive's fault. */
static void die_of(const err *e) __attribute__((noreturn));
static void die_of(const err *e)
{
    static const int of_host[] = {ENOSPC, EDQUOT, EIO, ENOMEM, EMFILE, ENFILE, EPIPE};

    for (size_t i = 0; i < COUNT(of_host); i++)
        if (err_errnum(e) == of_host[i])
            die(ARCHIVER_HOST_FAILED, "%s", err_message(e));
    die(ARCHIVER_REFUSED, "%s", err_message(e));
}

static int open_inside(const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, ROOT_FD, *path ? path : "/", &how, sizeof how);
}

/* ---- a container that does not run: its root and mounts, in a namespace of this process ---- */

/* mkdir -p of all but the last component inside; the last one as is_dir says. */
static int make_target(const char *path, bool is_dir)
{
    int dir = open_inside("/", O_PATH | O_DIRECTORY);
    auto_strv parts = {0};

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n && dir >= 0; i++) {
        auto_buf prefix = {0};
        bool last = i + 1 == parts.n;
        int below;

        if (!*parts.v[i])
            continue;
        for (size_t k = 0; k <= i; k++)
            buf_printf(&prefix, "/%s", parts.v[k]);
        below = open_inside(prefix.data, O_PATH);
        if (below < 0 && errno == ENOENT) {
            if (last && !is_dir)
                mem_closep(&(int){
                    openat(dir, parts.v[i], O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0755)});
            else
                (void)mkdirat(dir, parts.v[i], 0755);
            below = openat(dir, parts.v[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        }
        close(dir);
        dir = below;
    }
    return dir;
}

static void mount_one(int fd, bool rw, const char *destination)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    auto_close int target = -1;
    struct stat st;

    if (fstat(fd, &st) < 0)
        die(ARCHIVER_HOST_FAILED, "mount onto %s: %s", destination, strerrordesc_np(errno));
    target = make_target(destination, S_ISDIR(st.st_mode));
    if (target < 0 || syscall(SYS_move_mount, fd, "", target, "",
                              MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        die(ARCHIVER_HOST_FAILED, "mount onto %s: %s", destination, strerrordesc_np(errno));
    if (!rw && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        die(ARCHIVER_HOST_FAILED, "mount %s read-only: %s", destination, strerrordesc_np(errno));
}

static void mount_all(const task *t)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        syscall(SYS_move_mount, ROOT_FD, "", AT_FDCWD, t->place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        die(ARCHIVER_HOST_FAILED, "mount the root: %s", strerrordesc_np(errno));
    for (int i = 0; i < t->n_mounts; i++)
        mount_one(MOUNTS_FD + i, str_eq(t->mount_words[2 * i], "rw"), t->mount_words[2 * i + 1]);
}

/* ---- what a path is ---- */

/* The directory that holds it and its name there; "." for what is meant by a trailing slash. */
static int open_holder(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    auto_free char *parent = xstrndup(path, slash ? (size_t)(slash - path) : 0);

    *ret_name = slash && slash[1] ? slash + 1 : ".";
    if (str_eq(*ret_name, ".") || str_eq(*ret_name, "..")) {
        *ret_name = ".";
        return open_inside(path, O_PATH | O_DIRECTORY);
    }
    return open_inside(parent, O_PATH | O_DIRECTORY);
}

static unsigned go_mode(mode_t mode)
{
    unsigned m = mode & 0777;

    m |= S_ISDIR(mode) ? 1U << 31 : 0;
    m |= S_ISLNK(mode) ? 1U << 27 : 0;
    m |= S_ISBLK(mode) || S_ISCHR(mode) ? 1U << 26 : 0;
    m |= S_ISFIFO(mode) ? 1U << 25 : 0;
    m |= S_ISSOCK(mode) ? 1U << 24 : 0;
    m |= mode & S_ISUID ? 1U << 23 : 0;
    m |= mode & S_ISGID ? 1U << 22 : 0;
    m |= S_ISCHR(mode) ? 1U << 21 : 0;
    return m | (mode & S_ISVTX ? 1U << 20 : 0);
}

/* Where a link leads, as a path of the container's; as far as it is there. */
static char *target_of(const char *path)
{
    char resolved[4096] = "";

    if (!realpath(path, resolved) && errno != ENOENT)
        return xstrdup("");
    return xstrdup(resolved);
}

static const char *base_of(const char *path, buf *out)
{
    size_t n = strlen(path), begin;

    while (n > 1 && (path[n - 1] == '/' || (path[n - 1] == '.' && path[n - 2] == '/')))
        n--;
    for (begin = n; begin && path[begin - 1] != '/'; begin--)
        continue;
    buf_add(out, path + begin, n - begin);
    return out->len ? out->data : "/";
}

static void tell_stat(const task *t, const struct stat *st)
{
    auto_free char *target = S_ISLNK(st->st_mode) ? target_of(t->path) : xstrdup("");
    auto_buf line = {0}, base = {0};
    char when[TIME_TEXT];

    time_rfc3339((int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec, when);
    buf_str(&line, "{\"name\":");
    json_quote(base_of(t->path, &base), &line);
    buf_printf(&line, ",\"size\":%lld,\"mode\":%u,\"mtime\":\"%s\",\"linkTarget\":",
               (long long)st->st_size, go_mode(st->st_mode), when);
    json_quote(target, &line);
    buf_str(&line, "}\n");
    if (write(OUT_FD, line.data, line.len) != (ssize_t)line.len)
        die(ARCHIVER_HOST_FAILED, "write: %s", strerrordesc_np(errno));
}

static int find(const task *t, const char **ret_name, struct stat *st)
{
    int holder = open_holder(t->path, ret_name);

    if (holder < 0 || fstatat(holder, *ret_name, st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
            die(ARCHIVER_NOT_THERE, "not there");
        die(ARCHIVER_HOST_FAILED, "%s: %s", t->path, strerrordesc_np(errno));
    }
    if (is_kernel_fs(holder))
        die(ARCHIVER_NOT_THERE, "not there");
    return holder;
}

/* ---- the operations ---- */

static void finish(packer *p, err *e)
{
    if (!e)
        e = packer_finish(p);
    if (e)
        die_of(e);
    packer_free(p);
}

static void get(const task *t, bool whole)
{
    const char *name;
    struct stat st;
    int holder = find(t, &name, &st);
    auto_buf base = {0};
    packer *p;

    tell_stat(t, &st);
    if (!whole)
        return;
    p = packer_new(OUT_FD);
    finish(p, packer_add(p, holder, name, base_of(t->path, &base)));
}

static void export_all(void)
{
    int root = open_inside("/", O_RDONLY | O_DIRECTORY);
    packer *p = packer_new(OUT_FD);

    finish(p, packer_add_content(p, root));
}

static int nibble(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* Lines of hex on the descriptor behind the root. */
static void read_opaques(strv *ret)
{
    auto_fclose FILE *f = fdopen(MOUNTS_FD, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    while (f && (n = getline(&line, &room, f)) > 0) {
        auto_buf path = {0};

        for (ssize_t i = 0; i + 1 < n; i += 2)
            buf_char(&path, (char)(nibble(line[i]) << 4 | nibble(line[i + 1])));
        strv_push(ret, path.len ? path.data : "");
    }
    free(line);
}

static void pack_layer(void)
{
    auto_strv opaques = {0};
    int root = open_inside("/", O_RDONLY | O_DIRECTORY);
    packer *p = packer_new(OUT_FD);

    lseek(MOUNTS_FD, 0, SEEK_SET);
    read_opaques(&opaques);
    finish(p, packer_add_layer(p, root, &opaques));
}

static void check_target(const char *path)
{
    auto_close int fd = open_inside(path, O_PATH);
    struct statvfs fs;
    struct stat st, root;

    if (fd < 0 || is_kernel_fs(fd))
        die(ARCHIVER_NOT_THERE, "not there");
    if (fstat(fd, &st) < 0 || fstat(ROOT_FD, &root) < 0 || fstatvfs(fd, &fs) < 0)
        die(ARCHIVER_HOST_FAILED, "%s: %s", path, strerrordesc_np(errno));
    if (!S_ISDIR(st.st_mode))
        die(ARCHIVER_NO_DIRECTORY, "no directory");
    if (fs.f_flag & ST_RDONLY)
        die(st.st_dev == root.st_dev ? ARCHIVER_READ_ONLY_ROOT : ARCHIVER_READ_ONLY_VOLUME,
            "read-only");
}

static la_ssize_t read_in(struct archive *a, void *arg, const void **ret_block)
{
    ssize_t n;

    (void)a;
    do
        n = read(IN_FD, arg, BLOCK);
    while (n < 0 && errno == EINTR);
    *ret_block = arg;
    return n;
}

static struct archive *open_archive(char *block)
{
    struct archive *a = archive_read_new();

    member_formats(a);
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    if (archive_read_open(a, block, NULL, read_in, NULL) != ARCHIVE_OK)
        die(ARCHIVER_REFUSED, "not a tar archive: %s", archive_error_string(a));
    if (archive_filter_count(a) > FILTERS_MAX + 1)
        die(ARCHIVER_REFUSED, "not a tar archive: compressed too often");
    return a;
}

static void put(const task *t)
{
    auto_free char *block = xmalloc(BLOCK);
    applier *ap;
    struct archive *a;
    struct archive_entry *entry;
    err *e = NULL;
    int rc;

    check_target(t->path);
    if (write(OUT_FD, "{}\n", 3) != 3)
        die(ARCHIVER_HOST_FAILED, "write: %s", strerrordesc_np(errno));
    a = open_archive(block);
    ap = applier_new(ROOT_FD, APPLY_PLAIN);
    e = applier_set_target(ap, t->path, t->keep_kinds);
    while (!e && ((rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN)) {
        tar_member m;

        e = member_of(a, entry, &m);
        if (t->has_owner) {
            m.uid = t->uid;
            m.gid = t->gid;
        }
        if (!e)
            e = applier_apply(ap, &m);
    }
    if (!e && rc != ARCHIVE_EOF)
        e = err_new(ERR_INVALID, "not a tar archive: %s", archive_error_string(a));
    if (!e)
        e = applier_finish(ap);
    if (e)
        die_of(e);
    applier_free(ap);
    archive_read_free(a);
}

/* ---- the command line ---- */

static task read_task(int argc, char **argv)
{
    task t = {.operation = argc > 2 ? argv[1] : "", .path = argc > 2 ? argv[2] : ""};

    for (int i = 3; i < argc; i++) {
        if (str_eq(argv[i], "--")) {
            t.mounts = true;
            t.place = i + 1 < argc ? argv[i + 1] : "";
            t.mount_words = argv + i + 2;
            t.n_mounts = (argc - i - 2) / 2;
            break;
        }
        t.keep_kinds |= str_eq(argv[i], "keep-kinds");
        t.has_owner |= sscanf(argv[i], "owner=%u:%u", &t.uid, &t.gid) == 2;
    }
    return t;
}

bool archiver_main(int argc, char **argv, int *ret_status)
{
    task t;
    err *e;

    if (argc < 1 || !str_eq(argv[0], ARCHIVER_ARG0))
        return false;
    t = read_task(argc, argv);
    if (t.mounts)
        mount_all(&t);
    e = confine(ROOT_FD, t.mounts);
    if (e)
        die_of(e);
    if (str_eq(t.operation, "put"))
        put(&t);
    else if (str_eq(t.operation, "layer"))
        pack_layer();
    else if (str_eq(t.operation, "export"))
        export_all();
    else if (str_eq(t.operation, "get") || str_eq(t.operation, "stat"))
        get(&t, str_eq(t.operation, "get"));
    else
        die(ARCHIVER_REFUSED, "usage: " ARCHIVER_ARG0 " stat|get|put|export|layer PATH");
    *ret_status = 0;
    return true;
}
