/* tar_rig.h - archives written byte by byte, as no archiver would, and one run of the helper on
 * them.
 *
 * The test's own program is the helper, as the daemon's is: TAR_RIG_MAIN dispatches first. */
#ifndef BERTH_TEST_IMAGE_TAR_RIG_H
#define BERTH_TEST_IMAGE_TAR_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <berth/untar.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RIG __attribute__((unused)) static
enum { TAR_BLOCK = 512 };

/* ---- writing ---- */

typedef struct tent {
    const char *name, *link;
    char type; /* '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' directory, '6' fifo
                */
    unsigned mode;
    int64_t uid, gid, mtime, major, minor;
    const char *data;
    const char *size_field; /* instead of the true size: up to 12 raw bytes */
} tent;

RIG void tar_number(char *field, size_t width, int64_t n)
{
    if (n >= 0 && (width >= 12 || n < 1LL << (3 * (width - 1)))) {
        char text[32];

        snprintf(text, sizeof(text), "%0*llo", (int)width - 1, (unsigned long long)n);
        memcpy(field, text, width);
        return;
    }
    for (size_t i = width; i-- > 0; n >>= 8)
        field[i] = (char)(n & 0xff);
    field[0] = (char)(n < 0 ? 0xff : 0x80);
}

RIG void tar_pad(buf *b)
{
    static const char zeros[TAR_BLOCK];

    if (b->len % TAR_BLOCK)
        buf_add(b, zeros, TAR_BLOCK - b->len % TAR_BLOCK);
}

RIG void tar_header(buf *b, const tent *t, size_t size)
{
    char h[TAR_BLOCK] = {0};
    unsigned sum = 0;

    memcpy(h, t->name, strlen(t->name) < 100 ? strlen(t->name) : 100);
    tar_number(h + 100, 8, t->mode ? t->mode : t->type == '5' ? 0755 : 0644);
    tar_number(h + 108, 8, t->uid);
    tar_number(h + 116, 8, t->gid);
    tar_number(h + 124, 12, (int64_t)size);
    if (t->size_field)
        memcpy(h + 124, t->size_field, 12);
    tar_number(h + 136, 12, t->mtime);
    h[156] = t->type ? t->type : '0';
    if (t->link)
        memcpy(h + 157, t->link, strlen(t->link) < 100 ? strlen(t->link) : 100);
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    tar_number(h + 329, 8, t->major);
    tar_number(h + 337, 8, t->minor);
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    buf_add(b, h, TAR_BLOCK);
}

RIG void tar_bytes(buf *b, const tent *t, const void *p, size_t n)
{
    tar_header(b, t, n);
    if (n)
        buf_add(b, p, n);
    tar_pad(b);
}

RIG void tar_add(buf *b, const tent *t)
{
    tar_bytes(b, t, t->data, t->data ? strlen(t->data) : 0);
}

/* "17 key=value\n", the number being that of all its bytes; the value may hold any bytes. */
RIG void tar_record(buf *records, const char *key, const void *value, size_t n)
{
    size_t bare = strlen(key) + n + 3, total = bare + 1;
    char digits[24];

    while ((size_t)snprintf(digits, sizeof(digits), "%zu", total) + bare != total)
        total++;
    buf_printf(records, "%zu %s=", total, key);
    buf_add(records, value, n);
    buf_char(records, '\n');
}

/* A pax header before the next member, of one record. */
RIG void tar_pax(buf *b, const char *key, const void *value, size_t n)
{
    auto_buf record = {0};

    tar_record(&record, key, value, n);
    tar_bytes(b, &(tent){.name = "pax", .type = 'x'}, record.data, record.len);
}

/* A GNU 1.0 sparse file: the map stands before the data. */
RIG void tar_sparse(buf *tar, const char *name, const char *size, const buf *body)
{
    auto_buf records = {0};

    tar_record(&records, "GNU.sparse.major", "1", 1);
    tar_record(&records, "GNU.sparse.minor", "0", 1);
    tar_record(&records, "GNU.sparse.name", name, strlen(name));
    tar_record(&records, "GNU.sparse.realsize", size, strlen(size));
    tar_bytes(tar, &(tent){.name = "pax", .type = 'x'}, records.data, records.len);
    tar_bytes(tar, &(tent){.name = "GNUSparseFile/s"}, body->data, body->len);
}

RIG void tar_end(buf *b)
{
    static const char zeros[2 * TAR_BLOCK];

    buf_add(b, zeros, sizeof(zeros));
}

RIG la_ssize_t tar_write_buf(struct archive *a, void *arg, const void *p, size_t n)
{
    (void)a;
    buf_add(arg, p, n);
    return (la_ssize_t)n;
}

/* The same bytes through a filter ("gzip", "zstd", "xz", "bzip2"); in place. */
RIG void tar_compress(buf *b, const char *filter)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    buf out = {0};

    assert_int_equal(archive_write_add_filter_by_name(a, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_set_format_raw(a), ARCHIVE_OK);
    archive_write_set_bytes_in_last_block(a, 1);
    assert_int_equal(archive_write_open(a, &out, NULL, tar_write_buf, NULL), ARCHIVE_OK);
    archive_entry_set_filetype(e, AE_IFREG);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, b->data, b->len), (la_ssize_t)b->len);
    archive_entry_free(e);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    buf_done(b);
    *b = out;
}

/* ---- running ---- */

typedef struct untarred {
    int status, signal;
    double cpu_s;
    char said[512]; /* on stderr */
    char *result;
} untarred;

RIG void untarred_done(untarred *u)
{
    free(u->result);
}
#define auto_untarred __attribute__((cleanup(untarred_done))) untarred

RIG int memory_of(const void *p, size_t n)
{
    int fd = memfd_create("tar", 0);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, n ? p : "", n), n);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

RIG void untar(const char *mode, const buf *tar, const char *dir, untarred *ret)
{
    int root = fcntl(open(dir, O_RDONLY | O_DIRECTORY), F_DUPFD, 20);
    int in = fcntl(memory_of(tar->data, tar->len), F_DUPFD, 20);
    int said = fcntl(memfd_create("said", 0), F_DUPFD, 20),
        result = fcntl(memfd_create("result", 0), F_DUPFD, 20), status;
    struct rusage used;
    char *text;
    ssize_t n;
    pid_t pid;

    assert_true(root >= 20);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(said, 2);
        dup2(in, 0);
        dup2(root, 3);
        dup2(result, 4);
        close_range(5, ~0U, 0);
        execv("/proc/self/exe", (char *[]){UNTAR_ARG0, (char *)mode, NULL});
        _exit(99);
    }
    assert_int_equal(wait4(pid, &status, 0, &used), pid);
    memset(ret, 0, sizeof(*ret));
    ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ret->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    ret->cpu_s = (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    n = pread(said, ret->said, sizeof(ret->said) - 1, 0);
    ret->said[n > 0 ? n : 0] = '\0';
    text = xcalloc(1, 4 << 20);
    n = pread(result, text, (4 << 20) - 1, 0);
    assert_true(n >= 0);
    ret->result = text;
    close_range(3, ~0U, 0);
}

/* ---- a directory to unpack into, with neighbours that nothing may touch ---- */

typedef struct scene {
    char *base, *dest, *before;
} scene;

RIG char *scene_path(const scene *s, const char *name)
{
    return xasprintf("%s/%s", s->base, name);
}

/* One line a file: name, kind, owner, size, time, content. */
RIG void describe(const char *path, const char *shown, buf *out)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    buf_printf(out, "%s %o %u:%u %lld %ld.%09ld links %lu", shown, st.st_mode, st.st_uid, st.st_gid,
               S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size, st.st_mtim.tv_sec,
               st.st_mtim.tv_nsec, (unsigned long)st.st_nlink);
    if (S_ISREG(st.st_mode)) {
        auto_close int fd = open(path, O_RDONLY);
        char text[64] = {0};

        assert_true(read(fd, text, sizeof(text) - 1) >= 0);
        buf_printf(out, " %s", text);
    }
    buf_char(out, '\n');
}

RIG char *describe_canary(const scene *s)
{
    static const char *const names[] = {"canary", "canary/secret", "canary/dir", "canary/dir/deep",
                                        "dest-evil"};
    auto_buf out = {0};

    for (size_t i = 0; i < COUNT(names); i++) {
        auto_free char *path = scene_path(s, names[i]);

        describe(path, names[i], &out);
    }
    return buf_take(&out);
}

RIG void scene_up(scene *s)
{
    auto_free char *made = NULL, *deep = NULL, *secret = NULL, *evil = NULL;

    s->base = xstrdup("/tmp/berth-untar-XXXXXX");
    assert_non_null(mkdtemp(s->base));
    s->dest = scene_path(s, "dest");
    made = scene_path(s, "canary/dir");
    deep = scene_path(s, "canary/dir/deep");
    secret = scene_path(s, "canary/secret");
    evil = scene_path(s, "dest-evil");
    assert_null(tree_make(s->dest, 0755));
    assert_null(tree_make(made, 0700));
    assert_null(tree_make(evil, 0700));
    assert_null(file_write(deep, "deep", 4, 0600));
    assert_null(file_write(secret, "untouched", 9, 0600));
    s->before = describe_canary(s);
}

/* Fails when anything beside dest is not as it was; then removes all. */
RIG void scene_down(scene *s)
{
    auto_free char *after = describe_canary(s);

    assert_string_equal(s->before, after);
    assert_null(tree_remove(s->base));
    free(s->base);
    free(s->dest);
    free(s->before);
}

RIG bool dest_stat(const scene *s, const char *name, struct stat *st)
{
    auto_free char *path = xasprintf("%s/%s", s->dest, name);

    return lstat(path, st) == 0;
}

RIG char *dest_read(const scene *s, const char *name)
{
    auto_free char *path = xasprintf("%s/%s", s->dest, name);
    auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW);
    char *text = xcalloc(1, 4096);

    assert_true(fd >= 0);
    assert_true(read(fd, text, 4095) >= 0);
    return text;
}

#define TAR_RIG_MAIN(tests)                               \
    int main(int argc, char **argv)                       \
    {                                                     \
        int status;                                       \
                                                          \
        if (untar_main(argc, argv, &status))              \
            _exit(status);                                \
        alarm(170);                                       \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

#endif
