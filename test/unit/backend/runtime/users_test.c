/* users_test.c - "user:group" against the passwd and group files of a hostile root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/mem.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static char *root;
static int root_fd = -1;
static arena *a;

static void write_in(const char *below, const char *name, const char *text)
{
    auto_free char *path = xasprintf("%s/%s", below, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state)
{
    auto_free char *etc = NULL;

    (void)state;
    strncpy(dir, "/tmp/berth-users-XXXXXX", sizeof(dir) - 1);
    assert_non_null(mkdtemp(dir));
    root = xasprintf("%s/root", dir);
    etc = xasprintf("%s/etc", root);
    assert_int_equal(mkdir(root, 0755), 0);
    assert_int_equal(mkdir(etc, 0755), 0);
    write_in(etc, "passwd",
             "root:x:0:0:root:/root:/bin/sh\n"
             "# a comment\n"
             "\n"
             "broken line\n"
             "web:x:101:201:Web:/srv/web:/bin/sh\n"
             "nohome:x:102:202::\n"
             "1234:x:77:78:a name that is a number:/n:/bin/sh\n"
             "huge:x:99999999999:1::/:/bin/sh\n"
             "minus:x:-1:0::/:/bin/sh\n");
    write_in(etc, "group",
             "root:x:0:\n"
             "web:x:201:\n"
             "audio:x:29:web,other\n"
             "video:x:44:other,web\n"
             "cut:x:45\n"
             "huge:x:99999999999:web\n");
    root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(root_fd >= 0);
    a = arena_new();
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(a);
    close(root_fd);
    assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(take(root));
    return 0;
}

/* "uid:gid home gids": what a name means, as text. */
static const char *meaning(const char *user, const char *group_add)
{
    json_strs groups = {0};
    spec_user u = {0};
    auto_buf text = {0};
    err *e;

    if (group_add)
        json_strs_add(&groups, a, group_add);
    e = spec_user_resolve(root_fd, user, &groups, a, &u);
    if (e) {
        buf_printf(&text, "%d %s", (int)err_kind(e), err_message(e));
        err_free(e);
        return arena_strdup(a, text.data);
    }
    buf_printf(&text, "%u:%u %s", u.uid, u.gid, u.home);
    for (size_t i = 0; i < u.n_gids; i++)
        buf_printf(&text, " %u", u.gids[i]);
    return arena_strdup(a, text.data);
}

static void test_what_names_mean(void **state)
{
    static const struct {
        const char *user, *group_add, *means;
    } rows[] = {
        {"", NULL, "0:0 /root 0"},
        {"root", NULL, "0:0 /root 0"},
        {"0", NULL, "0:0 /root 0"},
        {"web", NULL, "101:201 /srv/web 201 29 44"},
        {"101", NULL, "101:201 /srv/web 201 29 44"},
        {"web:audio", NULL, "101:29 /srv/web 29"},
        {"web:", NULL, "101:201 /srv/web 201 29 44"},
        {":audio", NULL, "0:29 /root 29"},
        {"web:1000", NULL, "101:1000 /srv/web 1000"},
        {"nohome", NULL, "102:202 / 202"},
        {"4711", NULL, "4711:0 / 0"},
        {"4711:4712", NULL, "4711:4712 / 4712"},
        {"1234", NULL, "1234:0 / 0"},
        {"web", "video", "101:201 /srv/web 201 29 44"},
        {"root", "video", "0:0 /root 0 44"},
        {"root", "555", "0:0 /root 0 555"},
        {"2147483647", NULL, "2147483647:0 / 0"},
        {"2147483648", NULL, "400 uids and gids must be in range 0-2147483647"},
        {"99999999999999999999", NULL, "400 uids and gids must be in range 0-2147483647"},
        {"huge", NULL, "400 uids and gids must be in range 0-2147483647"},
        {"root:huge", NULL, "400 uids and gids must be in range 0-2147483647"},
        {"-1", NULL, "400 unable to find user -1: no matching entries in passwd file"},
        {"minus", NULL, "400 unable to find user minus: no matching entries in passwd file"},
        {"ghost", NULL, "400 unable to find user ghost: no matching entries in passwd file"},
        {"web:ghost", NULL, "400 unable to find group ghost: no matching entries in group file"},
        {"web", "ghost", "400 unable to find group ghost: no matching entries in group file"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(meaning(rows[i].user, rows[i].group_add), rows[i].means);
}

/* The image's link points at the host's file: what is read is the root's own. */
static void test_links_stay_inside(void **state)
{
    auto_free char *passwd = xasprintf("%s/etc/passwd", root),
                   *outside = xasprintf("%s/outside", dir);

    (void)state;
    write_in(dir, "outside", "spy:x:666:666::/spy:\n");
    assert_int_equal(unlink(passwd), 0);
    assert_int_equal(symlink(outside, passwd), 0);
    assert_string_equal(meaning("spy", NULL),
                        "400 unable to find user spy: no matching entries in passwd file");
    assert_int_equal(unlink(passwd), 0);
    assert_int_equal(symlink("../../../../outside", passwd), 0);
    assert_string_equal(meaning("spy", NULL),
                        "400 unable to find user spy: no matching entries in passwd file");
    write_in(root, "inside", "insider:x:7:7::/in:\n");
    assert_int_equal(unlink(passwd), 0);
    assert_int_equal(symlink("/inside", passwd), 0);
    assert_string_equal(meaning("insider", NULL), "7:7 /in 7");
}

/* A pipe would wait for ever, a device is not read: both are as good as no file. */
static void test_odd_files_count_as_none(void **state)
{
    auto_free char *passwd = xasprintf("%s/etc/passwd", root),
                   *group = xasprintf("%s/etc/group", root);

    (void)state;
    assert_int_equal(unlink(passwd), 0);
    assert_int_equal(mkfifo(passwd, 0644), 0);
    assert_int_equal(unlink(group), 0);
    assert_int_equal(mkdir(group, 0755), 0);
    assert_string_equal(meaning("", NULL), "0:0 / 0");
    assert_string_equal(meaning("web", NULL),
                        "400 unable to find user web: no matching entries in passwd file");
}

/* Past its bound a file is not read, however much it holds. */
static void test_a_huge_file_is_bounded(void **state)
{
    auto_free char *passwd = xasprintf("%s/etc/passwd", root);
    int fd = open(passwd, O_WRONLY | O_TRUNC | O_CLOEXEC);
    static const char entry[] = "late:x:5:5::/:\n";

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1LL << 40), 0); /* sparse: a tebibyte of nothing */
    assert_int_equal(pwrite(fd, "\n", 1, (64 << 20) - 1), 1);
    assert_int_equal(pwrite(fd, entry, sizeof(entry) - 1, 64 << 20), (ssize_t)sizeof(entry) - 1);
    close(fd);
    assert_string_equal(meaning("late", NULL),
                        "400 unable to find user late: no matching entries in passwd file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_names_mean, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_stay_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_odd_files_count_as_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_huge_file_is_bounded, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
