/* apply_test.c - what a layer holds is there afterwards: kinds, owners, modes, times, attributes,
 * holes, whiteouts, and the digests are those of the bytes. */
#include "tar_rig.h"
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static void expect_fine(const char *mode, const buf *tar, const scene *s, untarred *u)
{
    untar(mode, tar, s->dest, u);
    if (u->status || u->signal)
        fail_msg("status %d signal %d: %s", u->status, u->signal, u->said);
}

static void test_kinds(void **state)
{
    auto_buf tar = {0};
    auto_untarred u = {0};
    struct stat st, other;
    scene s;

    (void)state;
    scene_up(&s);
    tar_add(&tar,
            &(tent){.name = "./", .type = '5', .mode = 0711, .uid = 3, .gid = 4, .mtime = 100});
    tar_add(&tar, &(tent){.name = "d/", .type = '5', .mode = 01777, .mtime = 200});
    tar_add(&tar, &(tent){.name = "d/f",
                          .data = "hello",
                          .mode = 04755,
                          .uid = 1000,
                          .gid = 1001,
                          .mtime = 1234567890});
    tar_add(&tar, &(tent){.name = "h", .link = "d/f", .type = '1'});
    tar_add(
        &tar,
        &(tent){.name = "l", .link = "/nowhere", .type = '2', .uid = 5, .gid = 6, .mtime = 300});
    tar_add(&tar, &(tent){.name = "c", .type = '3', .mode = 0640, .major = 1, .minor = 3});
    tar_add(&tar, &(tent){.name = "b", .type = '4', .mode = 0600, .major = 259, .minor = 70000});
    tar_add(&tar, &(tent){.name = "p", .type = '6', .mode = 0622});
    tar_add(&tar, &(tent){.name = "not/there/yet", .data = "x", .uid = 0xfffffffeLL});
    tar_end(&tar);
    expect_fine("layer", &tar, &s, &u);

    assert_true(dest_stat(&s, ".", &st) && (st.st_mode & 07777) == 0711 && st.st_uid == 3 &&
                st.st_gid == 4);
    assert_int_equal(st.st_mtim.tv_sec, 100);
    assert_true(dest_stat(&s, "d", &st) && (st.st_mode & 07777) == 01777 &&
                st.st_mtim.tv_sec == 200);
    assert_true(dest_stat(&s, "d/f", &st) && st.st_mode == (S_IFREG | 04755) && st.st_uid == 1000 &&
                st.st_gid == 1001);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_true(dest_stat(&s, "h", &other) && other.st_ino == st.st_ino && st.st_nlink == 2);
    assert_true(dest_stat(&s, "l", &st) && S_ISLNK(st.st_mode) && st.st_uid == 5 &&
                st.st_mtim.tv_sec == 300);
    assert_true(dest_stat(&s, "c", &st) && st.st_mode == (S_IFCHR | 0640) &&
                st.st_rdev == makedev(1, 3));
    assert_true(dest_stat(&s, "b", &st) && st.st_mode == (S_IFBLK | 0600) &&
                st.st_rdev == makedev(259, 70000));
    assert_true(dest_stat(&s, "p", &st) && st.st_mode == (S_IFIFO | 0622));
    assert_true(dest_stat(&s, "not/there/yet", &st) && st.st_uid == 0xfffffffe);
    assert_true(dest_stat(&s, "not", &st) && st.st_mode == (S_IFDIR | 0755));
    scene_down(&s);
}

/* Bytes that are no UTF-8, in all three ways of naming, stay what they are. */
static void test_names_are_bytes(void **state)
{
    static const char odd[] = "odd-\xff\xc3\x28", utf8[] = "\xc3\xa4\xe2\x82\xac";
    auto_buf tar = {0};
    auto_untarred u = {0};
    struct stat st;
    scene s;

    (void)state;
    scene_up(&s);
    tar_add(&tar, &(tent){.name = odd});
    tar_pax(&tar, "path", "pax-\xff", 5);
    tar_add(&tar, &(tent){.name = "x"});
    tar_pax(&tar, "path", utf8, strlen(utf8));
    tar_add(&tar, &(tent){.name = "y"});
    tar_bytes(&tar, &(tent){.name = "././@LongLink", .type = 'L'}, "gnu-\xfe", 6);
    tar_add(&tar, &(tent){.name = "z"});
    tar_end(&tar);
    expect_fine("layer", &tar, &s, &u);
    assert_true(dest_stat(&s, odd, &st) && dest_stat(&s, "pax-\xff", &st) &&
                dest_stat(&s, utf8, &st));
    assert_true(dest_stat(&s, "gnu-\xfe", &st));
    scene_down(&s);
}

static ssize_t xattr_of(const scene *s, const char *file, const char *name, char value[64])
{
    auto_free char *path = xasprintf("%s/%s", s->dest, file);

    return lgetxattr(path, name, value, 64);
}

static void test_xattrs(void **state)
{
    /* a file capability: version 2, cap_net_raw permitted and effective */
    static const unsigned char cap[20] = {1, 0, 0, 2, 0, 0x20, 0, 0};
    static const char *const dropped[] = {"trusted.overlay.opaque", "trusted.overlay.redirect",
                                          "trusted.overlay.metacopy", "user.overlay.opaque",
                                          "user.overlay.redirect"};
    auto_buf tar = {0};
    auto_untarred u = {0};
    char value[64];
    scene s;

    (void)state;
    scene_up(&s);
    tar_pax(&tar, "SCHILY.xattr.security.capability", cap, sizeof(cap));
    tar_add(&tar, &(tent){.name = "ping", .data = "x", .mode = 0755, .uid = 9});
    tar_end(&tar);
    expect_fine("layer", &tar, &s, &u);
    assert_int_equal(xattr_of(&s, "ping", "security.capability", value), sizeof(cap));
    assert_memory_equal(value, cap, sizeof(cap));
    scene_down(&s);
    for (size_t i = 0; i <= COUNT(dropped); i++) { /* the last one is kept */
        const char *name = i < COUNT(dropped) ? dropped[i] : "user.note";
        auto_free char *key = xasprintf("SCHILY.xattr.%s", name);
        auto_buf other = {0};
        auto_untarred v = {0};

        scene_up(&s);
        tar_pax(&other, key, "y", 1);
        tar_add(&other, &(tent){.name = "d", .type = '5'});
        tar_end(&other);
        expect_fine("layer", &other, &s, &v);
        if ((xattr_of(&s, "d", name, value) == 1) != (i == COUNT(dropped)))
            fail_msg("%s", name);
        assert_null(strstr(v.result, "opaque"));
        scene_down(&s);
    }
}

/* Pieces at 0 and at 1 MiB of a file of 3 MiB that ends in a hole. */
static void test_sparse(void **state)
{
    auto_buf tar = {0}, body = {0};
    auto_untarred u = {0};
    auto_free char *path = NULL;
    char piece[512];
    struct stat st;
    scene s;
    int fd;

    (void)state;
    scene_up(&s);
    buf_str(&body, "2\n0\n512\n1048576\n512\n");
    tar_pad(&body);
    for (int i = 0; i < 2; i++) {
        memset(piece, 'a' + i, sizeof(piece));
        buf_add(&body, piece, sizeof(piece));
    }
    tar_sparse(&tar, "s", "3145728", &body);
    tar_end(&tar);
    expect_fine("layer", &tar, &s, &u);
    assert_true(dest_stat(&s, "s", &st));
    assert_int_equal(st.st_size, 3145728);
    assert_true(st.st_blocks < 64);
    path = xasprintf("%s/s", s.dest);
    fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, piece, 512, 1048576), 512);
    assert_true(piece[0] == 'b' && piece[511] == 'b');
    assert_int_equal(pread(fd, piece, 512, 0), 512);
    assert_true(piece[0] == 'a' && piece[511] == 'a');
    close(fd);
    scene_down(&s);
}

static void test_whiteouts(void **state)
{
    auto_buf tar = {0};
    auto_untarred u = {0};
    struct stat st;
    scene s;

    (void)state;
    scene_up(&s);
    tar_add(&tar, &(tent){.name = "gone/below/f", .data = "x"});
    tar_add(&tar, &(tent){.name = ".wh.gone"});
    tar_add(&tar, &(tent){.name = "d/.wh.x"});
    tar_add(&tar, &(tent){.name = "d/.wh..wh..opq"});
    tar_add(&tar, &(tent){.name = ".wh..wh..opq"});
    tar_add(&tar, &(tent){.name = ".wh.back"});
    tar_add(&tar, &(tent){.name = "back", .data = "again"});
    tar_add(&tar, &(tent){.name = ".wh.dir"});
    tar_add(&tar, &(tent){.name = "dir", .type = '5'});
    tar_end(&tar);
    expect_fine("layer", &tar, &s, &u);
    assert_true(dest_stat(&s, "gone", &st) && S_ISCHR(st.st_mode) && st.st_rdev == 0);
    assert_true(dest_stat(&s, "d/x", &st) && S_ISCHR(st.st_mode) && st.st_rdev == 0);
    assert_true(dest_stat(&s, "back", &st) && S_ISREG(st.st_mode));
    assert_true(dest_stat(&s, "dir", &st) && S_ISDIR(st.st_mode));
    assert_false(dest_stat(&s, ".wh.gone", &st) || dest_stat(&s, "d/.wh..wh..opq", &st));
    assert_non_null(strstr(u.result, "opaque 64\n"));     /* d */
    assert_non_null(strstr(u.result, "opaque -\n"));      /* the root */
    assert_non_null(strstr(u.result, "opaque 646972\n")); /* dir, which came where a whiteout was */
    scene_down(&s);
}

/* In a plain archive such names are names. */
static void test_plain(void **state)
{
    auto_buf tar = {0};
    auto_untarred u = {0};
    struct stat st;
    scene s;

    (void)state;
    scene_up(&s);
    tar_add(&tar, &(tent){.name = ".wh.x", .data = "x", .mode = 0640, .uid = 12});
    tar_add(&tar, &(tent){.name = ".wh..wh..opq"});
    tar_end(&tar);
    expect_fine("plain", &tar, &s, &u);
    assert_true(dest_stat(&s, ".wh.x", &st) && S_ISREG(st.st_mode) && st.st_uid == 12 &&
                (st.st_mode & 07777) == 0640);
    assert_true(dest_stat(&s, ".wh..wh..opq", &st));
    assert_null(strstr(u.result, "opaque"));
    scene_down(&s);
}

/* What sha256sum says of the same bytes. */
static void sum_of(const buf *bytes, char out[65])
{
    int in = memory_of(bytes->data, bytes->len), pipes[2], status;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        dup2(in, 0);
        dup2(pipes[1], 1);
        close_range(3, ~0U, 0);
        execl("/usr/bin/sha256sum", "sha256sum", NULL);
        _exit(99);
    }
    close(pipes[1]);
    close(in);
    assert_int_equal(read(pipes[0], out, 64), 64);
    out[64] = '\0';
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void expect_digests(const buf *packed, const char plain_sum[65], const char *size)
{
    auto_free char *plain = xasprintf("plain %s\n", plain_sum), *pack = NULL,
                   *bytes = xasprintf("size %s\nend\n", size);
    auto_untarred u = {0};
    char sum[65];
    scene s;

    scene_up(&s);
    sum_of(packed, sum);
    pack = xasprintf("packed %s\n", sum);
    expect_fine("layer", packed, &s, &u);
    if (!strstr(u.result, plain) || !strstr(u.result, pack) || !strstr(u.result, bytes))
        fail_msg("expected %s%s%s, got %s", pack, plain, bytes, u.result);
    scene_down(&s);
}

static void test_digests(void **state)
{
    static const char *const filters[] = {NULL, "gzip", "zstd", "xz", "bzip2"};
    auto_free char *big = xmalloc(3 << 20);

    (void)state;
    for (size_t i = 0; i < 3 << 20; i++)
        big[i] = (char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < COUNT(filters); i++) {
        auto_buf tar = {0};
        char sum[65];

        tar_bytes(&tar, &(tent){.name = "big"}, big, (3 << 20) - 77);
        tar_add(&tar, &(tent){.name = "small", .data = "12345"});
        tar_end(&tar);
        for (int k = 0; k < 40; k++) /* padding to a record, and more: it belongs to the digest */
            tar_end(&tar);
        sum_of(&tar, sum);
        if (filters[i])
            tar_compress(&tar, filters[i]);
        expect_digests(&tar, sum, "3145656");
    }
}

static void test_empty(void **state)
{
    static const char nothing[] =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    auto_buf none = {0}, packed = {0};

    (void)state;
    expect_digests(&none, nothing, "0");
    buf_str(&packed, "");
    tar_compress(&packed, "gzip");
    expect_digests(&packed, nothing, "0");
}

/* The last word counts, whatever kind it replaces: all pairs of kinds under one name. */
static void test_last_wins(void **state)
{
    static const struct {
        char type;
        mode_t kind;
    } kinds[] = {{'0', S_IFREG}, {'1', S_IFREG}, {'2', S_IFLNK},
                 {'3', S_IFCHR}, {'5', S_IFDIR}, {'6', S_IFIFO}};

    (void)state;
    for (size_t i = 0; i < COUNT(kinds) * COUNT(kinds); i++) {
        const char first = kinds[i / COUNT(kinds)].type, second = kinds[i % COUNT(kinds)].type;
        auto_buf tar = {0};
        auto_untarred u = {0};
        auto_free char *target = NULL;
        struct stat st;
        scene s;

        scene_up(&s);
        tar_add(&tar, &(tent){.name = "target", .data = "kept"});
        tar_add(&tar, &(tent){.name = "n",
                              .type = first,
                              .link = "target",
                              .data = first == '0' ? "first" : NULL,
                              .major = 1});
        if (first == '5')
            tar_add(&tar, &(tent){.name = "n/child", .data = "x"});
        tar_add(&tar, &(tent){.name = "n",
                              .type = second,
                              .link = "target",
                              .data = second == '0' ? "second" : NULL,
                              .major = 1});
        tar_end(&tar);
        expect_fine("layer", &tar, &s, &u);
        if (!dest_stat(&s, "n", &st) || (st.st_mode & S_IFMT) != kinds[i % COUNT(kinds)].kind)
            fail_msg("%c then %c: %o", first, second, st.st_mode);
        target = dest_read(&s, "target"); /* nothing was written through a link */
        assert_string_equal(target, "kept");
        scene_down(&s);
    }
}

/* The helper alone with its bytes: what it may still do, read from its own /proc before it ends. */
static void test_confined(void **state)
{
    auto_buf tar = {0}, status = {0};
    auto_free char *path = NULL;
    char block[4096], ns[2][64] = {0}, own[64] = {0};
    int in[2], result, root, held;
    scene s;
    pid_t pid;
    ssize_t n;

    (void)state;
    scene_up(&s);
    root = open(s.dest, O_RDONLY | O_DIRECTORY);
    result = memfd_create("result", 0);
    assert_int_equal(pipe(in), 0);
    pid = fork();
    if (pid == 0) {
        int r = fcntl(root, F_DUPFD, 20), o = fcntl(result, F_DUPFD, 21);

        dup2(in[0], 0);
        dup2(r, 3);
        dup2(o, 4);
        close_range(5, ~0U, 0);
        execv("/proc/self/exe", (char *[]){UNTAR_ARG0, "layer", NULL});
        _exit(99);
    }
    close(in[0]);
    tar_add(&tar, &(tent){.name = "seen"});
    assert_int_equal(write(in[1], tar.data, tar.len), tar.len);
    for (int i = 0; i < 1000; i++) { /* it has begun to unpack once the capabilities are gone */
        buf_truncate(&status, 0);
        path = xasprintf("/proc/%d/status", pid);
        held = open(path, O_RDONLY);
        free(take(path));
        while ((n = read(held, block, sizeof(block))) > 0)
            buf_add(&status, block, (size_t)n);
        close(held);
        if (strstr(status.data, "Seccomp:\t2"))
            break;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    assert_non_null(strstr(status.data, "Seccomp:\t2"));
    assert_non_null(strstr(status.data, "NoNewPrivs:\t1"));
    assert_non_null(strstr(status.data, "CapPrm:\t000000008800001b\n")); /* the six, and no more */
    assert_non_null(strstr(status.data, "CapEff:\t000000008800001b\n"));
    assert_non_null(strstr(status.data, "CapBnd:\t000000008800001b\n"));
    assert_non_null(strstr(status.data, "CapInh:\t0000000000000000\n"));
    path = xasprintf("/proc/%d/ns/net", pid);
    assert_true(readlink(path, ns[0], 63) > 0 && readlink("/proc/self/ns/net", own, 63) > 0);
    assert_string_not_equal(ns[0], own);
    free(take(path));
    path = xasprintf("/proc/%d/root", pid);
    assert_true(readlink(path, ns[1], 63) > 0);
    assert_string_equal(ns[1], s.dest);
    close(in[1]);
    assert_int_equal(waitpid(pid, &held, 0), pid);
    close(root);
    close(result);
    scene_down(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_kinds),     cmocka_unit_test(test_names_are_bytes),
    cmocka_unit_test(test_xattrs),    cmocka_unit_test(test_sparse),
    cmocka_unit_test(test_whiteouts), cmocka_unit_test(test_plain),
    cmocka_unit_test(test_digests),   cmocka_unit_test(test_empty),
    cmocka_unit_test(test_last_wins), cmocka_unit_test(test_confined),
};

TAR_RIG_MAIN(tests)
