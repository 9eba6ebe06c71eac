/* rootfs_test.c - overlays on the real kernel: layers merged, whiteouts, links that would lead a
 * mount astray. */
#include "image_rig.h"
#include <sys/mount.h>
#include <sys/statfs.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>

typedef struct box {
    char *dir, *merged;
} box;

static char *mounted; /* for the teardown of a test that failed */

static void box_up(box *b)
{
    b->dir = xasprintf("%s/box", rig.root);
    b->merged = xasprintf("%s/merged", b->dir);
    free(mounted);
    mounted = xstrdup(b->merged);
    assert_null(tree_make(b->dir, 0700));
    assert_null(rootfs_prepare(b->dir));
}

static void box_down(box *b)
{
    auto_err *e = rootfs_unmount(b->merged);

    if (e)
        fail_msg("%s", err_message(e));
    assert_null(tree_remove(b->dir));
    free(b->dir);
    free(b->merged);
}

static void import_named(const char *name, const buf *tar)
{
    import_opts o = {name, "", "", "", NULL};
    auto_took t = {0};

    import_bytes(tar, &o, &t);
    if (t.e)
        fail_msg("%s", err_message(t.e));
}

static bool box_stat(const box *b, const char *name, struct stat *st)
{
    auto_free char *path = xasprintf("%s/%s", b->merged, name);

    return lstat(path, st) == 0;
}

static void expect_text(const box *b, const char *name, const char *expected)
{
    auto_free char *path = xasprintf("%s/%s", b->merged, name);
    auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW);
    char text[64] = {0};

    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    assert_string_equal(text, expected);
}

static void mount_of(const strv *lowers, const box *b)
{
    auto_err *e = rootfs_mount((const char *const *)lowers->v, b->dir);

    if (e)
        fail_msg("%s", err_message(e));
}

/* Layers by hand, topmost first, from archives as the helper applies them. */
static void add_layer(strv *lowers, const buf *tar)
{
    auto_free char *name = xasprintf("l%zu", lowers->n);
    image *img;
    auto_strv dirs = {0}, all = {0};

    import_named(name, tar);
    img = must_find(name);
    image_layer_dirs(img, &dirs);
    strv_push(&all, dirs.v[0]);
    for (size_t i = 0; i < lowers->n; i++)
        strv_push(&all, lowers->v[i]);
    strv_done(lowers);
    *lowers = all;
    all = (strv){0};
}

static void test_merge(void **state)
{
    auto_buf low = {0}, middle = {0}, top = {0};
    auto_strv lowers = {0};
    struct stat st;
    box b;

    (void)state;
    tar_add(&low, &(tent){.name = "kept", .data = "low"});
    tar_add(&low, &(tent){.name = "changed", .data = "low"});
    tar_add(&low, &(tent){.name = "gone", .data = "low"});
    tar_add(&low, &(tent){.name = "d/old", .data = "low"});
    tar_add(&low, &(tent){.name = "o/old", .data = "low"});
    tar_add(&low, &(tent){.name = "back/old", .data = "low"});
    tar_end(&low);
    tar_add(&middle, &(tent){.name = "changed", .data = "middle"});
    tar_add(&middle, &(tent){.name = ".wh.gone"});
    tar_add(&middle, &(tent){.name = "d/.wh.old"});
    tar_add(&middle, &(tent){.name = "d/new", .data = "middle"});
    tar_add(&middle, &(tent){.name = "o/.wh..wh..opq"});
    tar_add(&middle, &(tent){.name = "o/new", .data = "middle"});
    tar_add(&middle, &(tent){.name = ".wh.back"});
    tar_add(&middle, &(tent){.name = "back", .type = '5'});
    tar_add(&middle, &(tent){.name = "back/new", .data = "middle"});
    tar_end(&middle);
    tar_add(&top, &(tent){.name = "d/old", .data = "top"});
    tar_end(&top);
    add_layer(&lowers, &low);
    add_layer(&lowers, &middle);
    add_layer(&lowers, &top);
    box_up(&b);
    mount_of(&lowers, &b);
    expect_text(&b, "kept", "low");
    expect_text(&b, "changed", "middle");
    assert_false(box_stat(&b, "gone", &st));
    expect_text(&b, "d/new", "middle");
    expect_text(&b, "d/old", "top");
    expect_text(&b, "o/new", "middle");
    assert_false(box_stat(&b, "o/old", &st));
    expect_text(&b, "back/new", "middle");
    assert_false(box_stat(&b, "back/old", &st));
    box_down(&b);
}

/* What is written stays in diff; the layers below are never changed. */
static void test_writes_stay_above(void **state)
{
    auto_buf tar = {0};
    auto_strv lowers = {0};
    auto_free char *path = NULL, *below = NULL, *above = NULL;
    struct statfs fs;
    struct stat st;
    box b;
    int fd;

    (void)state;
    tar_add(&tar, &(tent){.name = "f", .data = "image"});
    tar_end(&tar);
    add_layer(&lowers, &tar);
    box_up(&b);
    mount_of(&lowers, &b);
    assert_int_equal(statfs(b.merged, &fs), 0);
    assert_int_equal(fs.f_type, OVERLAYFS_SUPER_MAGIC);
    path = xasprintf("%s/f", b.merged);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    below = xasprintf("%s/f", lowers.v[0]);
    above = xasprintf("%s/diff/f", b.dir);
    assert_true(lstat(below, &st) == 0 && st.st_size == 5);
    assert_true(lstat(above, &st) == 0 && st.st_size == 4);
    assert_null(rootfs_unmount(b.merged));
    mount_of(&lowers, &b); /* a restart of the container finds it again */
    expect_text(&b, "f", "mine");
    box_down(&b);
}

/* More layers than fit into a page of mount options. */
static void test_many_layers(void **state)
{
    auto_strv lowers = {0};
    box b;

    (void)state;
    for (int i = 0; i < 200; i++) {
        auto_free char *dir =
            xasprintf("%s/layers/by-hand-of-a-long-name-so-that-options-grow-%d/fs", rig.root, i);
        auto_free char *file = xasprintf("%s/f%d", dir, i);

        assert_null(tree_make(dir, 0755));
        assert_null(file_write(file, "x", 1, 0644));
        strv_push(&lowers, dir);
    }
    box_up(&b);
    mount_of(&lowers, &b);
    expect_text(&b, "f0", "x");
    expect_text(&b, "f199", "x");
    box_down(&b);
}

/* An image whose /dev, /etc and /proc are links elsewhere: what a runtime mounts over is real. */
static void test_init_layer(void **state)
{
    static const struct {
        const char *name;
        mode_t type;
    } real[] = {
        {"dev", S_IFDIR},       {"dev/pts", S_IFDIR},      {"dev/shm", S_IFDIR},
        {"proc", S_IFDIR},      {"sys", S_IFDIR},          {"etc", S_IFDIR},
        {"etc/hosts", S_IFREG}, {"etc/hostname", S_IFREG}, {"etc/resolv.conf", S_IFREG},
        {"etc/mtab", S_IFLNK},  {"dev/console", S_IFREG},  {".dockerenv", S_IFREG},
    };
    static const char *const links[] = {"dev", "etc", "proc", "sys"};
    auto_buf tar = {0};
    auto_strv lowers = {0};
    struct stat st;
    box b;

    (void)state;
    for (size_t i = 0; i < COUNT(links); i++)
        tar_add(&tar, &(tent){.name = links[i], .link = "/tmp", .type = '2'});
    tar_end(&tar);
    add_layer(&lowers, &tar);
    box_up(&b);
    mount_of(&lowers, &b);
    for (size_t i = 0; i < COUNT(real); i++)
        if (!box_stat(&b, real[i].name, &st) || (st.st_mode & S_IFMT) != real[i].type)
            fail_msg("%s: %o", real[i].name, st.st_mode);
    box_down(&b);
}

static void test_refused(void **state)
{
    const char *const missing[] = {"/nowhere/at/all", NULL};
    auto_err *e = NULL;
    struct stat st;
    box b;

    (void)state;
    box_up(&b);
    e = rootfs_mount(missing, b.dir);
    assert_non_null(e);
    assert_non_null(strstr(err_message(e), "overlay"));
    assert_true(stat(b.merged, &st) == 0);
    assert_null(rootfs_unmount(b.merged)); /* nothing there is fine, twice */
    assert_null(rootfs_unmount(b.merged));
    assert_int_equal(rmdir(b.merged), 0);
    assert_int_equal(symlink("/tmp", b.merged), 0); /* a link is no place to mount on */
    err_free(take(e));
    e = rootfs_mount((const char *const[]){rootfs_init_layer(), NULL}, b.dir);
    assert_non_null(e);
    assert_int_equal(unlink(b.merged), 0);
    box_down(&b);
}

/* A crash between mount and record may have stacked them. */
static void test_stacked(void **state)
{
    auto_buf tar = {0};
    auto_strv lowers = {0};
    struct statfs fs;
    box b;

    (void)state;
    tar_end(&tar);
    add_layer(&lowers, &tar);
    box_up(&b);
    mount_of(&lowers, &b);
    assert_null(rootfs_unmount(b.merged));
    assert_int_equal(statfs(b.merged, &fs), 0);
    assert_int_not_equal(fs.f_type, OVERLAYFS_SUPER_MAGIC);
    mount_of(&lowers, &b);
    assert_int_equal(mount("none", b.merged, "tmpfs", 0, NULL), 0);
    assert_null(rootfs_unmount(b.merged));
    assert_int_equal(statfs(b.merged, &fs), 0);
    assert_int_not_equal(fs.f_type, OVERLAYFS_SUPER_MAGIC);
    assert_int_not_equal(fs.f_type, TMPFS_MAGIC);
    box_down(&b);
}

/* Never leaves a mount behind, whatever the test found. */
static int box_teardown(void **state)
{
    auto_err *e = mounted ? rootfs_unmount(mounted) : NULL;

    free(take(mounted));
    assert_null(e);
    return image_down(state);
}

#undef image_test
#define image_test(fn) cmocka_unit_test_setup_teardown(fn, image_up, box_teardown)

static const struct CMUnitTest tests[] = {
    image_test(test_merge),      image_test(test_writes_stay_above), image_test(test_many_layers),
    image_test(test_init_layer), image_test(test_refused),           image_test(test_stacked),
};

TAR_RIG_MAIN(tests)
