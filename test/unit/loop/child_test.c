/* child_test.c - real children: what they inherit, how their end is told.
 *
 * The program itself is the child where it must look at its own descriptors: see child_main. */
#include "rig.h"
#include <berth/child.h>
#include <berth/timer.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

extern char **environ;

typedef struct outcome {
    unsigned n;
    char *message; /* NULL: no error */
    char *last_line;
    int status, signal;
} outcome;

static void on_done(void *arg, err *e, const child_exit *exit)
{
    outcome *o = arg;

    assert_true(on_loop());
    o->n++;
    o->message = e ? xstrdup(err_message(e)) : NULL;
    o->last_line = xstrdup(exit->last_line);
    o->status = exit->status;
    o->signal = exit->signal;
    err_free(e);
}

static void outcome_done(outcome *o)
{
    free(o->message);
    free(o->last_line);
}
#define auto_outcome __attribute__((cleanup(outcome_done))) outcome

static void run(const child_opts *opts, outcome *o)
{
    child *c = NULL;

    assert_null(child_spawn(opts, on_done, o, &c));
    assert_true(child_pid(c) > 0);
    loop_run();
    assert_int_equal(o->n, 1);
}

static void run_sh(const char *script, outcome *o)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};

    run(&(child_opts){.name = "script", .argv = argv}, o);
}

/* What the child wrote to its stdout; the caller frees. */
static char *output_of(child_opts *opts)
{
    auto_close int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char *text = xcalloc(65536, 1);
    auto_outcome o = {0};

    opts->stdout_fd = file;
    run(opts, &o);
    assert_null(o.message);
    assert_true(pread(file, text, 65535, 0) >= 0);
    return text;
}

static void test_exit_codes(void **state)
{
    auto_outcome ok = {0}, seven = {0}, killed = {0};

    (void)state;
    run_sh("exit 0", &ok);
    assert_null(ok.message);
    assert_int_equal(ok.status, 0);
    run_sh("exit 7", &seven);
    assert_string_equal(seven.message, "script: exit status 7");
    assert_int_equal(seven.status, 7);
    assert_int_equal(seven.signal, 0);
    run_sh("kill -TERM $$", &killed);
    assert_string_equal(killed.message, "script: killed by signal 15");
    assert_int_equal(killed.status, 128 + SIGTERM);
    assert_int_equal(killed.signal, SIGTERM);
}

static void test_last_line_of_stderr_is_the_message(void **state)
{
    auto_outcome o = {0}, fine = {0};

    (void)state;
    run_sh("printf 'first\\nthe\\treason\\r\\n\\n  \\n' >&2; exit 1", &o);
    assert_string_equal(o.message, "the reason");
    run_sh("echo only a warning >&2", &fine);
    assert_null(fine.message);
    assert_string_equal(fine.last_line, "only a warning");
}

static void test_stderr_is_bounded(void **state)
{
    auto_outcome flood = {0}, one_line = {0};

    (void)state;
    run_sh("yes 0123456789 | head -c 3000000 >&2; printf '\\nthe end\\n' >&2; exit 1", &flood);
    assert_string_equal(flood.message, "the end");
    run_sh("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", &one_line);
    assert_int_equal(strlen(one_line.message), 4096);
}

static void test_timeout_kills(void **state)
{
    uint64_t before_ms = rig_now_ms();
    char *argv[] = {(char *)"/bin/sleep", (char *)"20", NULL};
    auto_outcome o = {0};

    (void)state;
    run(&(child_opts){.argv = argv, .timeout_ms = 50}, &o);
    assert_string_equal(o.message, "/bin/sleep: timed out");
    assert_int_equal(o.signal, SIGKILL);
    assert_true(rig_now_ms() - before_ms < 10000);
}

static void test_timeout_not_reached(void **state)
{
    char *argv[] = {(char *)"/bin/true", NULL};
    uint64_t before_ms = rig_now_ms();
    auto_outcome o = {0};

    (void)state;
    run(&(child_opts){.argv = argv, .timeout_ms = 20000}, &o);
    assert_null(o.message);
    assert_true(rig_now_ms() - before_ms < 10000);
}

/* A grandchild that holds stderr does not hold up the answer. */
static void test_stderr_held_by_a_grandchild(void **state)
{
    uint64_t before_ms = rig_now_ms(), took_ms;
    auto_outcome o = {0};

    (void)state;
    run_sh("sleep 3 & echo gone ahead >&2; exit 3", &o);
    took_ms = rig_now_ms() - before_ms;
    assert_string_equal(o.message, "gone ahead");
    assert_in_range(took_ms, 190, 2000);
}

static void test_missing_program(void **state)
{
    char *missing[] = {(char *)"/no/such/program", NULL};
    char *by_path[] = {(char *)"true", NULL};
    auto_outcome o = {0};
    int before = rig_open_fds();
    auto_err *e = NULL, *relative = NULL, *cwd = NULL;

    (void)state;
    e = child_spawn(&(child_opts){.argv = missing}, on_done, &o, NULL);
    assert_string_equal(err_message(e), "start /no/such/program: No such file or directory");
    assert_int_equal(err_errnum(e), ENOENT);
    relative = child_spawn(&(child_opts){.argv = by_path}, on_done, &o, NULL);
    assert_int_equal(err_kind(relative), ERR_INVALID);
    cwd = child_spawn(&(child_opts){.argv = missing, .file = "/bin/true", .cwd = "/no/such/dir"},
                      on_done, &o, NULL);
    assert_non_null(cwd);
    loop_run();
    assert_int_equal(o.n, 0);
    assert_int_equal(rig_open_fds(), before);
}

/* A script without #! is an error, not food for a shell. */
static void test_no_shell_fallback(void **state)
{
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/script", dir);
    char *argv[] = {path, NULL};
    auto_outcome o = {0};
    auto_err *e = NULL;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);

    (void)state;
    assert_int_equal(write(fd, "exit 0\n", 7), 7);
    close(fd);
    e = child_spawn(&(child_opts){.argv = argv}, on_done, &o, NULL);
    assert_int_equal(err_errnum(e), ENOEXEC);
    rig_rmdir(dir);
}

static void test_env_is_exact(void **state)
{
    char *argv[] = {(char *)"test", (char *)"env", NULL};
    char *env[] = {(char *)"A=1", (char *)"B=two words", NULL};
    auto_free char *given = NULL, *standard = NULL;

    (void)state;
    setenv("SECRET", "of the daemon", 1);
    given = output_of(&(child_opts){.argv = argv, .file = "/proc/self/exe", .env = env});
    assert_string_equal(given, "A=1\nB=two words\n");
    standard = output_of(&(child_opts){.argv = argv, .file = "/proc/self/exe"});
    assert_string_equal(standard,
                        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
    unsetenv("SECRET");
}

static void test_cwd_and_stdin(void **state)
{
    char *pwd[] = {(char *)"/bin/pwd", NULL}, *cat[] = {(char *)"/bin/cat", NULL};
    auto_free char *root = NULL, *tmp = NULL, *nothing = NULL, *something = NULL;
    auto_close int in = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    (void)state;
    root = output_of(&(child_opts){.argv = pwd});
    assert_string_equal(root, "/\n");
    tmp = output_of(&(child_opts){.argv = pwd, .cwd = "/tmp"});
    assert_string_equal(tmp, "/tmp\n");
    nothing = output_of(&(child_opts){.argv = cat});
    assert_string_equal(nothing, "");
    assert_int_equal(pwrite(in, "bytes", 5, 0), 5);
    something = output_of(&(child_opts){.argv = cat, .stdin_fd = in});
    assert_string_equal(something, "bytes");
}

/* The child lists its descriptors; even one that was opened without O_CLOEXEC is not among them. */
static void test_descriptors_are_exact(void **state)
{
    char *argv[] = {(char *)"test", (char *)"fds", NULL};
    auto_free char *bare = NULL, *extra = NULL;
    int leaky = dup(0), high, extras[2];

    (void)state;
    high = fcntl(leaky, F_DUPFD, 200);
    bare = output_of(&(child_opts){.argv = argv, .file = "/proc/self/exe"});
    assert_string_equal(bare, "0 1 2 ");
    extras[0] = high;
    extras[1] = leaky;
    extra = output_of(&(child_opts){
        .argv = argv, .file = "/proc/self/exe", .extra_fds = extras, .n_extra_fds = 2});
    assert_string_equal(extra, "0 1 2 3 4 ");
    close(leaky);
    close(high);
}

/* Extra descriptors whose numbers are the targets of others still arrive as themselves. */
static void test_crossed_extra_descriptors(void **state)
{
    auto_close int a = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    auto_close int b = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    const char *script = "i=3; while [ $i -lt 43 ]; do cat /proc/self/fd/$i; i=$((i+1)); done";
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};
    auto_free char *text = NULL;
    int extras[40];

    (void)state;
    assert_true(a < 43 && b < 43); /* both are among the targets */
    assert_int_equal(pwrite(a, "a", 1, 0), 1);
    assert_int_equal(pwrite(b, "b", 1, 0), 1);
    for (int i = 0; i < 40; i++)
        extras[i] = i % 2 ? b : a;
    text = output_of(&(child_opts){.argv = argv, .extra_fds = extras, .n_extra_fds = 40});
    assert_string_equal(text, "abababababababababababababababababababab");
}

static void test_own_stderr(void **state)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)"echo mine >&2; exit 1", NULL};
    auto_close int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    auto_outcome o = {0};
    char text[16] = "";

    (void)state;
    run(&(child_opts){.name = "n", .argv = argv, .stderr_fd = file}, &o);
    assert_string_equal(o.message, "n: exit status 1");
    assert_int_equal(pread(file, text, sizeof(text) - 1, 0), 5);
    assert_string_equal(text, "mine\n");
}

static void test_signals_are_default_again(void **state)
{
    auto_free char *status = NULL;
    char *argv[] = {(char *)"/bin/cat", (char *)"/proc/self/status", NULL};
    sigset_t usr2;

    (void)state;
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    sigprocmask(SIG_BLOCK, &usr2, NULL);
    status = output_of(&(child_opts){.argv = argv});
    sigprocmask(SIG_UNBLOCK, &usr2, NULL);
    signal(SIGHUP, SIG_DFL);
    assert_non_null(strstr(status, "SigIgn:\t0000000000000000"));
    assert_non_null(strstr(status, "SigBlk:\t0000000000000000"));
}

static void test_detached_has_its_own_session(void **state)
{
    char *argv[] = {(char *)"test", (char *)"session", NULL};
    auto_free char *own = NULL, *ours = NULL;

    (void)state;
    own = output_of(&(child_opts){.argv = argv, .file = "/proc/self/exe", .detached = true});
    assert_string_equal(own, "leader\n");
    ours = output_of(&(child_opts){.argv = argv, .file = "/proc/self/exe"});
    assert_string_equal(ours, "member\n");
}

static void kill_it(void *arg)
{
    child_kill(arg, SIGINT);
}

static void test_kill(void **state)
{
    char *argv[] = {(char *)"/bin/sleep", (char *)"20", NULL};
    auto_outcome o = {0};
    child *c = NULL;
    timer *t;

    (void)state;
    assert_null(child_spawn(&(child_opts){.argv = argv}, on_done, &o, &c));
    t = timer_start("test", 10, kill_it, c);
    loop_run();
    assert_int_equal(o.signal, SIGINT);
    timer_stop(t);
}

static void test_many_leave_nothing(void **state)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)"echo no >&2; exit 1", NULL};
    int before = rig_open_fds();
    outcome o[20] = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(o); i++)
        assert_null(child_spawn(&(child_opts){.argv = argv}, on_done, &o[i], NULL));
    loop_run();
    for (size_t i = 0; i < COUNT(o); i++) {
        assert_int_equal(o[i].n, 1);
        assert_string_equal(o[i].message, "no");
        outcome_done(&o[i]);
    }
    assert_int_equal(rig_open_fds(), before);
}

static void test_no_descriptors_left(void **state)
{
    char *argv[] = {(char *)"/bin/true", NULL};
    struct rlimit before, tight;
    auto_outcome o = {0};
    auto_err *e = NULL;
    int fds;

    (void)state;
    fds = rig_open_fds();
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)fds;
    setrlimit(RLIMIT_NOFILE, &tight);
    e = child_spawn(&(child_opts){.argv = argv}, on_done, &o, NULL);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(err_errnum(e), EMFILE);
    assert_int_equal(rig_open_fds(), fds);
}

static int child_main(const char *what)
{
    if (str_eq(what, "fds"))
        for (int fd = 0; fd < 1024; fd++)
            if (fcntl(fd, F_GETFD) >= 0)
                printf("%d ", fd);
    if (str_eq(what, "env"))
        for (char **p = environ; *p; p++)
            printf("%s\n", *p);
    if (str_eq(what, "session"))
        printf("%s\n", getsid(0) == getpid() ? "leader" : "member");
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_exit_codes),
        rig_test(test_last_line_of_stderr_is_the_message),
        rig_test(test_stderr_is_bounded),
        rig_test(test_timeout_kills),
        rig_test(test_timeout_not_reached),
        rig_test(test_stderr_held_by_a_grandchild),
        rig_test(test_missing_program),
        rig_test(test_no_shell_fallback),
        rig_test(test_env_is_exact),
        rig_test(test_cwd_and_stdin),
        rig_test(test_descriptors_are_exact),
        rig_test(test_crossed_extra_descriptors),
        rig_test(test_own_stderr),
        rig_test(test_signals_are_default_again),
        rig_test(test_detached_has_its_own_session),
        rig_test(test_kill),
        rig_test(test_many_leave_nothing),
        rig_test(test_no_descriptors_left),
    };

    if (argc > 1)
        return child_main(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
