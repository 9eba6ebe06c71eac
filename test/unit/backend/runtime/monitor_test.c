/* monitor_test.c - real containers under real monitors: start, output, exit, what outlives whom. */
#include "bundle.h"

static const char *const runtimes[] = {"crun", "runc"};

static void test_run_and_exit_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(runtimes); i++) {
        box *b = box_new(runtimes[i]);
        auto_free char *log = NULL;
        monitor_exit record;
        pid_t keeper;

        box_go(b, "\"sh\",\"-c\",\"echo hello; echo oops >&2; exit 7\"");
        assert_int_equal(b->exit.code, 7);
        assert_false(b->exit.oom);
        assert_false(b->exit.lost);
        assert_true(b->start.pid > 0);
        assert_true(b->exit.finished_ns >= b->start.started_ns);
        assert_null(monitor_read_exit(b->exit_path, &record));
        assert_int_equal(record.code, 7);
        assert_int_equal(record.finished_ns, b->exit.finished_ns);
        log = read_text(b->log_path);
        assert_non_null(strstr(log, "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\""));
        assert_non_null(strstr(log, "{\"log\":\"oops\\n\",\"stream\":\"stderr\",\"time\":\""));
        keeper = monitor_pid(b->m);
        assert_true(is_gone(keeper));
        box_free(b);
    }
}

static void test_signal_exit(void **state)
{
    box *b = box_new(NULL);

    (void)state;
    box_config(b, "\"sleep\",\"60\"", false, "");
    box_spawn(b);
    box_run(b);
    assert_true(monitor_init_pidfd(b->m) >= 0);
    assert_int_equal(kill(b->start.pid, SIGKILL), 0);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_int_equal(b->exit.code, 137);
    box_free(b);
}

static void test_attach_gets_everything(void **state)
{
    box *b = box_new(NULL);
    taker t;

    (void)state;
    box_config(b, "\"sh\",\"-c\",\"seq 1 20000; echo done >&2\"", false, "");
    box_spawn(b);
    taker_attach(&t, b, "", ATTACH_STDOUT | ATTACH_STDERR);
    box_run(b);
    assert_true(wait_for(&t.ended, WAIT_MS));
    assert_null(t.why);
    assert_int_equal(t.out.len, 108894);
    assert_string_equal(t.errs.data, "done\n");
    assert_true(wait_for(&b->ended, WAIT_MS));
    taker_done(&t);
    box_free(b);
}

/* The text that the CLI turns into exit code 127 or 126, from either runtime. */
static void test_program_not_found(void **state)
{
    static const struct {
        const char *args, *sign;
        err_class kind;
    } cases[] = {
        {"\"nope\"", "exec: \"nope\": executable file not found in $PATH", ERR_INVALID},
        {"\"/bin/nope\"", "no such file or directory", ERR_INVALID},
        {"\"/etc\"", "permission denied", ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(runtimes) * COUNT(cases); i++) {
        box *b = box_new(runtimes[i % COUNT(runtimes)]);
        size_t c = i / COUNT(runtimes);
        auto_free char *begin = xasprintf("failed to create task for container: failed to create "
                                          "shim task: OCI runtime create failed: %s create failed: "
                                          "unable to start container process: exec: ",
                                          runtimes[i % COUNT(runtimes)]);
        auto_free char *log = NULL;
        taker t;
        pid_t keeper;

        box_config(b, cases[c].args, false, "");
        box_spawn(b);
        keeper = monitor_pid(b->m);
        taker_attach(&t, b, "", ATTACH_STDOUT | ATTACH_STDERR);
        monitor_run(b->m, on_box_started, b);
        assert_true(wait_for(&b->started, WAIT_MS));
        assert_non_null(b->error);
        assert_int_equal(err_kind(b->error), cases[c].kind);
        if (!str_starts(err_message(b->error), begin) ||
            !strstr(err_message(b->error), cases[c].sign))
            fail_msg("%s", err_message(b->error));
        assert_true(wait_for(&t.ended, WAIT_MS));
        assert_int_equal(t.out.len + t.errs.len, 0);
        assert_true(is_gone(keeper));
        assert_false(b->ended);
        log = read_text(b->log_path);
        assert_string_equal(log, "");
        assert_int_equal(access(b->exit_path, F_OK), -1);
        taker_done(&t);
        box_free(b);
    }
}

/* A monitor that was never told to run does not stay. */
static void test_unused_monitor_ends(void **state)
{
    box *b = box_new(NULL);
    pid_t keeper;

    (void)state;
    box_spawn(b);
    keeper = monitor_pid(b->m);
    monitor_free(b->m);
    b->m = NULL;
    assert_true(is_gone(keeper));
    box_free(b);
}

static void test_spawn_of_nothing_fails(void **state)
{
    box *b = box_new(NULL);

    (void)state;
    b->spec.program = "/nonexistent/berth-monitor";
    b->m = monitor_spawn(&b->spec, &box_events, b, on_box_ready);
    assert_true(wait_for(&b->ready, WAIT_MS));
    assert_non_null(b->error);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        box_test(test_run_and_exit_code),      box_test(test_signal_exit),
        box_test(test_attach_gets_everything), box_test(test_program_not_found),
        box_test(test_unused_monitor_ends),    box_test(test_spawn_of_nothing_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
