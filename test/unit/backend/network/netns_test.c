/* netns_test.c - namespaces as files: made, visited, given back; the caller stays where it is. */
#include "net_rig.h"
#include <sys/vfs.h>

enum { NSFS = 0x6e736673 };

static ino_t here(void)
{
    struct stat st = {0};

    assert_int_equal(stat("/proc/thread-self/ns/net", &st), 0);
    return st.st_ino;
}

static err *note_where(void *arg)
{
    *(ino_t *)arg = here();
    return NULL;
}

static err *complain(void *arg)
{
    (void)arg;
    return err_new(ERR_CONFLICT, "no");
}

static bool is_namespace(const char *path)
{
    struct statfs fs = {0};

    return statfs(path, &fs) == 0 && fs.f_type == NSFS;
}

static void test_made_visited_and_given_back(void **state)
{
    auto_free char *path = xasprintf("%s/netns/one", rig_dir);
    ino_t before = here(), inside = 0;
    struct stat st;

    (void)state;
    assert_ok(netns_create(path)); /* its directory is made too */
    assert_true(is_namespace(path));
    assert_int_equal(stat(path, &st), 0);
    assert_ok(netns_run(path, note_where, &inside));
    assert_int_equal(inside, st.st_ino);
    assert_int_not_equal(inside, before);
    assert_int_equal(here(), before);
    assert_refused(netns_run(path, complain, NULL), ERR_CONFLICT, "no");
    assert_ok(netns_remove(path));
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(netns_remove(path));
}

static void test_one_that_was_left_is_replaced(void **state)
{
    auto_free char *path = xasprintf("%s/netns/two", rig_dir);
    ino_t first = 0, second = 0;
    int fd;

    (void)state;
    assert_ok(netns_create(path));
    fd = open(path, O_RDONLY | O_CLOEXEC); /* so that its number is not given out again */
    assert_ok(netns_run(path, note_where, &first));
    assert_ok(netns_create(path));
    assert_ok(netns_run(path, note_where, &second));
    assert_int_not_equal(first, second);
    close(fd);
    assert_ok(netns_remove(path));
    assert_int_equal(access(path, F_OK), -1);

    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC,
              0600); /* killed before the mount: a file alone */
    assert_true(fd >= 0);
    close(fd);
    assert_ok(netns_create(path));
    assert_true(is_namespace(path));
    assert_ok(netns_remove(path));
}

static void test_a_failure_leaves_nothing(void **state)
{
    auto_free char *deep = xasprintf("%s/not/there/x", rig_dir),
                   *dir = xasprintf("%s/netns/dir", rig_dir);
    err *e = netns_create(deep);

    (void)state;
    assert_int_equal(err_errnum(e), ENOENT);
    err_free(e);
    assert_int_equal(mkdir(dir, 0700), 0);
    e = netns_create(dir);
    assert_non_null(e);
    err_free(e);
    assert_int_equal(rmdir(dir), 0);
    e = netns_run(dir, note_where, NULL);
    assert_int_equal(err_errnum(e), ENOENT);
    err_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_visited_and_given_back),
        cmocka_unit_test(test_one_that_was_left_is_replaced),
        cmocka_unit_test(test_a_failure_leaves_nothing),
    };
    int rc;

    if (!rig_enter())
        return 0;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rig_leave();
    return rc;
}
