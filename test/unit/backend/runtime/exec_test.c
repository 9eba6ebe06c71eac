/* exec_test.c - execs in a running container: output, exit code, terminal, errors, several at once.
 */
#include "bundle.h"

typedef struct run {
    box *b;
    char id[65];
    char *process;
    taker t;
    bool prepared, started;
    err *error;
    monitor_started start;
} run;

static void on_prepared(void *arg, err *e)
{
    run *r = arg;

    r->prepared = true;
    r->error = e;
}

static void on_started(void *arg, err *e, const monitor_started *started)
{
    run *r = arg;

    r->started = true;
    r->error = e;
    if (started)
        r->start = *started;
}

static box *running_box(const char *name)
{
    box *b = box_new(name);

    box_config(b, "\"sleep\",\"300\"", false, "");
    box_spawn(b);
    box_run(b);
    return b;
}

static void end_box(box *b)
{
    assert_int_equal(kill(b->start.pid, SIGKILL), 0);
    assert_true(wait_for(&b->ended, WAIT_MS));
    box_free(b);
}

static run *exec_prepare(box *b, const char *args, bool tty, bool open_stdin)
{
    run *r = new0(run);
    auto_free char *text = xasprintf(PROCESS_JSON, tty ? "true" : "false", args);
    monitor_exec_spec spec = {.exec_id = r->id, .tty = tty, .open_stdin = open_stdin};

    r->b = b;
    str_random_id(r->id);
    r->process = xasprintf("%s/process-%s", b->dir, r->id);
    write_text(r->process, text);
    spec.process_path = r->process;
    spec.want_stdout = spec.want_stderr = true;
    spec.rows = 20;
    spec.cols = 70;
    monitor_exec_prepare(b->m, &spec, on_prepared, r);
    assert_true(wait_for(&r->prepared, WAIT_MS));
    if (r->error)
        fail_msg("prepare: %s", err_message(r->error));
    taker_attach(&r->t, b, r->id, ATTACH_STDOUT | ATTACH_STDERR | (open_stdin ? ATTACH_STDIN : 0));
    return r;
}

static void exec_free(run *r)
{
    taker_done(&r->t);
    err_free(r->error);
    free(r->process);
    free(r);
}

static run *exec_go(box *b, const char *args, bool tty)
{
    run *r = exec_prepare(b, args, tty, false);

    b->resized = false;
    monitor_exec_run(b->m, r->id, on_started, r);
    assert_true(wait_for(&r->started, WAIT_MS));
    return r;
}

static void test_exec_output_and_code(void **state)
{
    static const char *const runtimes[] = {"crun", "runc"};

    (void)state;
    for (size_t i = 0; i < COUNT(runtimes); i++) {
        box *b = running_box(runtimes[i]);
        run *r = exec_go(b, "\"sh\",\"-c\",\"echo out; echo err >&2; exit 9\"", false);

        assert_null(r->error);
        assert_true(r->start.pid > 0);
        assert_true(wait_for(&r->t.ended, WAIT_MS));
        assert_string_equal(r->t.out.data, "out\n");
        assert_string_equal(r->t.errs.data, "err\n");
        assert_true(wait_for(&b->resized, WAIT_MS));
        assert_string_equal(b->exec_id, r->id);
        assert_int_equal(b->exec_exit.code, 9);
        exec_free(r);
        end_box(b);
    }
}

static void test_exec_stdin_half_close(void **state)
{
    box *b = running_box(NULL);
    run *r = exec_prepare(b, "\"sha256sum\"", false, true);

    (void)state;
    assert_true(attach_stdin(r->t.a, "abc", 3));
    attach_stdin_eof(r->t.a);
    monitor_exec_run(b->m, r->id, on_started, r);
    assert_true(wait_for(&r->t.ended, WAIT_MS));
    assert_string_equal(r->t.out.data,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n");
    exec_free(r);
    end_box(b);
}

static void test_exec_tty(void **state)
{
    box *b = running_box(NULL);
    run *r = exec_go(b, "\"sh\",\"-c\",\"sleep 0.3; stty size\"", true);

    (void)state;
    assert_null(r->error);
    assert_true(wait_for(&r->t.ended, WAIT_MS));
    assert_string_equal(r->t.out.data, "20 70\r\n");
    exec_free(r);
    end_box(b);
}

static void test_exec_not_found(void **state)
{
    static const char *const runtimes[] = {"crun", "runc"};

    (void)state;
    for (size_t i = 0; i < COUNT(runtimes); i++) {
        box *b = running_box(runtimes[i]);
        run *r = exec_go(b, "\"nope\"", false);

        assert_non_null(r->error);
        assert_string_equal(err_message(r->error),
                            "OCI runtime exec failed: exec failed: unable to start container "
                            "process: exec: \"nope\": executable file not found in $PATH");
        assert_int_equal(err_kind(r->error), ERR_INVALID);
        assert_true(wait_for(&r->t.ended, WAIT_MS));
        assert_int_equal(r->t.out.len + r->t.errs.len, 0);
        exec_free(r);
        end_box(b);
    }
}

static void count_exec(void *arg, const char *id, pid_t pid)
{
    assert_true(*id && pid > 0);
    ++*(int *)arg;
}

static void test_many_execs_at_once(void **state)
{
    enum { N = 20 };
    box *b = running_box(NULL);
    run *r[N];
    int left = 0;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        r[i] = exec_prepare(b, "\"sh\",\"-c\",\"echo x; exit 5\"", false, false);
        monitor_exec_run(b->m, r[i]->id, on_started, r[i]);
    }
    for (size_t i = 0; i < N; i++) {
        assert_true(wait_for(&r[i]->t.ended, WAIT_MS));
        assert_null(r[i]->error);
        assert_string_equal(r[i]->t.out.data, "x\n");
    }
    for (int i = 0; i < 1000 && b->exec_exits < N; i++)
        pass_time(5);
    assert_int_equal(b->exec_exits, N);
    assert_int_equal(b->exec_exit.code, 5);
    monitor_each_exec(b->m, count_exec, &left);
    assert_int_equal(left, 0);
    for (size_t i = 0; i < N; i++)
        exec_free(r[i]);
    end_box(b);
}

/* The container ends under an exec: the exec ends too and is told. */
static void test_exec_ends_with_container(void **state)
{
    box *b = running_box(NULL);
    run *r = exec_go(b, "\"sleep\",\"300\"", false);
    int running = 0;

    (void)state;
    assert_null(r->error);
    monitor_each_exec(b->m, count_exec, &running);
    assert_int_equal(running, 1);
    assert_true(monitor_exec_pidfd(b->m, r->id) >= 0);
    assert_int_equal(kill(b->start.pid, SIGKILL), 0);
    assert_true(wait_for(&r->t.ended, WAIT_MS));
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_true(wait_for(&b->resized, WAIT_MS));
    assert_int_equal(b->exec_exit.code, 137);
    exec_free(r);
    box_free(b);
}

static void test_exec_is_forgotten(void **state)
{
    box *b = running_box(NULL);
    run *r = exec_prepare(b, "\"true\"", false, false);

    (void)state;
    monitor_exec_forget(b->m, r->id);
    assert_true(wait_for(&r->t.ended, WAIT_MS));
    monitor_exec_run(b->m, r->id, on_started, r);
    assert_true(wait_for(&r->started, WAIT_MS));
    assert_int_equal(err_kind(r->error), ERR_NOT_FOUND);
    exec_free(r);
    end_box(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        box_test(test_exec_output_and_code),
        box_test(test_exec_stdin_half_close),
        box_test(test_exec_tty),
        box_test(test_exec_not_found),
        box_test(test_many_execs_at_once),
        box_test(test_exec_ends_with_container),
        box_test(test_exec_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
