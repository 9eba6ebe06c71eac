/* copyup_test.c - content of one directory into another, empty one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "mounts.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct rig {
    char root[32];
    int from, to;
} rig;

static int setup(void **state)
{
    rig *r = new0(rig);

    strncpy(r->root, "/tmp/berth-copyup-XXXXXX", sizeof(r->root) - 1);
    if (!mkdtemp(r->root) || chdir(r->root) < 0 || mkdir("from", 0755) < 0 || mkdir("to", 0700) < 0)
        return -1;
    r->from = open("from", O_RDONLY | O_DIRECTORY);
    r->to = open("to", O_RDONLY | O_DIRECTORY);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig *r = *state;

    close(r->from);
    close(r->to);
    err_log(tree_remove(r->root), "rig");
    free(r);
    return chdir("/");
}

static void put(int dir, const char *name, const char *text)
{
    auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static const char *get(int dir, const char *name)
{
    static char text[64];
    auto_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void test_kinds(void **state)
{
    const rig *r = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "from/socket"};
    auto_close int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct stat st, other;

    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
    put(r->from, "file", "text");
    assert_int_equal(linkat(r->from, "file", r->from, "same", 0), 0);
    assert_int_equal(symlinkat("/etc", r->from, "link"), 0);
    assert_int_equal(mkfifoat(r->from, "pipe", 0604), 0);
    assert_int_equal(mkdirat(r->from, "dir", 01777), 0);
    put(r->from, "dir/below", "deep");
    assert_int_equal(fchmod(r->from, 02751), 0);
    assert_null(copy_up(r->from, r->to));
    assert_string_equal(get(r->to, "file"), "text");
    assert_string_equal(get(r->to, "dir/below"), "deep");
    assert_int_equal(fstatat(r->to, "socket", &st, AT_SYMLINK_NOFOLLOW), -1);
    assert_int_equal(fstatat(r->to, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(fstatat(r->to, "pipe", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(fstatat(r->to, "file", &st, 0), 0);
    assert_int_equal(fstatat(r->to, "same", &other, 0), 0);
    assert_true(st.st_ino == other.st_ino && st.st_nlink == 2);
    assert_int_equal(fstat(r->to, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02751);
}

static void test_what_is_there_stays(void **state)
{
    const rig *r = *state;
    struct stat st;

    put(r->from, "file", "image");
    put(r->to, "mine", "data");
    assert_null(copy_up(r->from, r->to));
    assert_int_equal(fstatat(r->to, "file", &st, 0), -1);
    assert_string_equal(get(r->to, "mine"), "data");
}

/* An image may nest without end: an error, not all descriptors. */
static void test_too_deep(void **state)
{
    const rig *r = *state;
    int at = dup(r->from), next;
    auto_err *e = NULL;

    for (int i = 0; i < 300; i++) {
        assert_int_equal(mkdirat(at, "d", 0755), 0);
        next = openat(at, "d", O_RDONLY | O_DIRECTORY);
        close(at);
        at = next;
    }
    close(at);
    e = copy_up(r->from, r->to);
    assert_non_null(strstr(err_message(e), "nested too deep"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_there_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_deep, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
