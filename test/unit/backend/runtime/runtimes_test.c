/* runtimes_test.c - which runtimes are found, how they are called, and that every command works on
 * this host, also where the unified cgroup mount must be hidden from crun. */
#include "bundle.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>

static void test_defaults(void **state)
{
    const runtime *crun = runtime_find("crun"), *runc = runtime_find("runc");

    (void)state;
    assert_non_null(crun);
    assert_non_null(runc);
    assert_true(crun->works);
    assert_ptr_equal(runtime_default(), crun);
    assert_ptr_equal(runtime_find(""), crun);
    assert_ptr_equal(runtime_find(NULL), crun);
    assert_null(runtime_find("kata"));
    assert_true(crun->version[0] >= '0' && crun->version[0] <= '9');
    assert_false(runc->hide_unified);
    assert_int_equal(crun->hide_unified, runtime_cgroup_mode() == CGROUP_HYBRID);
    assert_int_equal(runtime_count(), 2);
    assert_ptr_equal(runtime_nth(0), crun);
    assert_null(runtime_nth(2));
}

static void test_extra_runtimes(void **state)
{
    const char *const args[] = {"--debug", NULL};
    const runtime_extra extra[] = {{"mine", "/bin/true", args}, {"runc", "/bin/false", NULL}};
    const runtime_extra relative[] = {{"x", "x", NULL}};
    auto_strv argv = {0};
    err *e;

    (void)state;
    assert_null(runtimes_init("/tmp/berth-monitor-test-root", extra, 2, "mine"));
    assert_string_equal(runtime_default()->name, "mine");
    assert_true(runtime_default()->works);
    assert_false(runtime_find("runc")->works);
    assert_string_equal(runtime_find("runc")->path, "/bin/false");
    runtime_argv(runtime_find("mine"), &argv);
    assert_int_equal(argv.n, 3);
    assert_string_equal(argv.v[0], "/bin/true");
    assert_string_equal(argv.v[1], "--root=/tmp/berth-monitor-test-root/runtime-mine");
    assert_string_equal(argv.v[2], "--debug");
    e = runtimes_init("/tmp/berth-monitor-test-root", extra, 2, "nope");
    assert_string_equal(err_message(e), "specified default runtime 'nope' does not exist");
    err_free(e);
    e = runtimes_init("/tmp/berth-monitor-test-root", relative, 1, NULL);
    assert_int_equal(err_kind(e), ERR_INVALID);
    err_free(e);
}

static bool is_paused(const box *b)
{
    auto_free char *path =
        runtime_cgroup_mode() == CGROUP_V2
            ? xasprintf("/sys/fs/cgroup/berth-test/%s/cgroup.events", b->id)
            : xasprintf("/sys/fs/cgroup/freezer/berth-test/%s/freezer.state", b->id);
    auto_free char *text = read_text(path);

    return text && (strstr(text, "FROZEN") || strstr(text, "frozen 1"));
}

/* Everything that the daemon asks a runtime for, one after the other on one container. */
static void test_every_command(void **state)
{
    static const char *const names[] = {"crun", "runc"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        box *b = box_new(names[i]);
        auto_free char *resources = xasprintf("%s/resources", b->dir);
        auto_free char *option = xasprintf("--resources=%s", resources);
        auto_free char *limit_path = xasprintf("/sys/fs/cgroup/pids/berth-test/%s/pids.max", b->id);
        auto_free char *limit = NULL;
        auto_strv argv = {0};

        box_config(b, "\"sleep\",\"300\"", false, "");
        box_spawn(b);
        box_run(b);
        assert_int_equal(run_runtime(b, "state", NULL), 0);
        assert_int_equal(run_runtime(b, "pause", NULL), 0);
        assert_true(is_paused(b));
        assert_int_equal(run_runtime(b, "resume", NULL), 0);
        assert_false(is_paused(b));
        write_text(resources, "{\"pids\":{\"limit\":77}}");
        assert_int_equal(run_runtime(b, "update", option), 0);
        limit = read_text(limit_path);
        if (runtime_cgroup_mode() != CGROUP_V2)
            assert_string_equal(limit, "77\n");
        runtime_argv(b->rt, &argv);
        strv_add(&argv, "kill", b->id, "KILL", NULL);
        assert_int_equal(run_argv(argv.v), 0);
        assert_true(wait_for(&b->ended, WAIT_MS));
        assert_int_equal(b->exit.code, 137);
        assert_int_equal(run_runtime(b, "delete", NULL), 0);
        assert_int_not_equal(run_runtime(b, "state", NULL), 0);
        box_free(b);
    }
}

/* In a namespace of a test's own, everything shared as systemd has it: hiding the mount does not
 * unmount it outside, and what the program mounts elsewhere does appear outside. */
static int shared_world(const char *dir)
{
    auto_free char *inside = xasprintf("%s/in", dir), *mark = xasprintf("%s/in/mark", dir);
    char *mount_argv[] = {(char *)BERTH_MONITOR_PATH,
                          (char *)"--runtime-exec",
                          (char *)"hide_unified",
                          (char *)"--",
                          (char *)"/bin/busybox",
                          (char *)"sh",
                          (char *)"-c",
                          NULL,
                          NULL};
    auto_free char *script =
        xasprintf("mount -t tmpfs t %s && touch %s && ! grep -q ' /sys/fs/cgroup/unified ' "
                  "/proc/self/mounts",
                  inside, mark);
    struct statfs before, after;

    mount_argv[7] = script;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL) < 0 ||
        mkdir(inside, 0755) < 0 || statfs("/sys/fs/cgroup/unified", &before) < 0)
        return 2;
    if (run_argv(mount_argv) != 0)
        return 3;
    if (access(mark, F_OK) < 0)
        return 4;
    if (statfs("/sys/fs/cgroup/unified", &after) < 0 || after.f_type != before.f_type)
        return 5;
    return umount2(inside, MNT_DETACH) < 0 ? 6 : 0;
}

static void test_hiding_keeps_propagation(void **state)
{
    auto_free char *dir = xstrdup("/tmp/berth-monitor-test-XXXXXX");
    auto_free char *inside = NULL;
    int status = -1;
    pid_t pid;

    (void)state;
    if (runtime_cgroup_mode() != CGROUP_HYBRID)
        skip();
    assert_non_null(mkdtemp(dir));
    inside = xasprintf("%s/in", dir);
    pid = fork();
    if (pid == 0)
        _exit(shared_world(dir));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)rmdir(inside);
    assert_int_equal(rmdir(dir), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        box_test(test_defaults),
        box_test(test_extra_runtimes),
        box_test(test_every_command),
        box_test(test_hiding_keeps_propagation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
