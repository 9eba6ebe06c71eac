/* bundle.h - what the tests of this room share: a loop, a container's directories, a monitor that
 * is waited for.  Real containers: busybox in a bundle written by hand. */
#ifndef BERTH_TEST_RUNTIME_BUNDLE_H
#define BERTH_TEST_RUNTIME_BUNDLE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <berth/buf.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/monitor.h>
#include <berth/runtime.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUNDLE __attribute__((unused)) static

enum { WAIT_MS = 20 * 1000 };

typedef struct box {
    char id[65];
    char *dir, *run, *exit_path, *log_path, *bundle;
    const runtime *rt;
    monitor_spec spec;
    monitor *m;
    /* what was seen */
    bool ready, started, ended, resized;
    err *error;
    monitor_started start;
    monitor_exit exit;
    char *exec_id;
    monitor_exit exec_exit;
    unsigned exec_exits;
} box;

/* An attached client that keeps what it got. */
typedef struct taker {
    attachment *a;
    buf out, errs;
    bool ended, drained, stopped;
    err *why;
} taker;

/* Run the loop until *flag or the time is over; true when it was the flag. */
typedef struct waiting {
    const bool *flag;
    bool late;
} waiting;

BUNDLE void on_wait_tick(void *arg)
{
    waiting *w = arg;

    if (*w->flag)
        loop_stop();
}

BUNDLE void on_wait_late(void *arg)
{
    ((waiting *)arg)->late = true;
    loop_stop();
}

BUNDLE bool wait_for(const bool *flag, unsigned ms)
{
    waiting w = {.flag = flag};
    timer *tick, *late;

    if (*flag)
        return true;
    tick = timer_every("test tick", 1, on_wait_tick, &w);
    late = timer_start("test late", ms, on_wait_late, &w);
    loop_run();
    timer_stop(tick);
    timer_stop(late);
    return *flag;
}

BUNDLE void pass_time(unsigned ms)
{
    bool never = false;

    (void)wait_for(&never, ms);
}

BUNDLE void write_text(const char *path, const char *text)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

BUNDLE char *read_text(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf b = {0};
    char piece[4096];
    ssize_t n;

    if (fd < 0)
        return NULL;
    while ((n = read(fd, piece, sizeof piece)) > 0)
        buf_add(&b, piece, (size_t)n);
    return buf_take(&b);
}

BUNDLE void copy_file(const char *from, const char *to)
{
    auto_close int in = open(from, O_RDONLY | O_CLOEXEC);
    auto_close int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    char piece[65536];
    ssize_t n;

    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, piece, sizeof piece)) > 0)
        assert_int_equal(write(out, piece, (size_t)n), n);
}

/* Run a program and wait: for cleaning up, and for what is not the subject of a test. */
BUNDLE int run_argv(char *const *argv)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        execv(argv[0], argv);
        _exit(127);
    }
    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

BUNDLE int run_runtime(const box *b, const char *command, const char *option)
{
    auto_strv argv = {0};

    runtime_argv(b->rt, &argv);
    strv_push(&argv, command);
    if (option)
        strv_push(&argv, option);
    strv_push(&argv, b->id);
    return run_argv(argv.v);
}

#define PROCESS_JSON                                                                            \
    "{\"terminal\":%s,\"user\":{\"uid\":0,\"gid\":0},\"args\":[%s],\"env\":[\"PATH=/bin\"],"    \
    "\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"]," \
    "\"permitted\":[\"CAP_KILL\"]}}"

/* args: a JSON list's inside, "\"sh\",\"-c\",\"...\"". */
BUNDLE void box_config(const box *b, const char *args, bool tty, const char *more)
{
    auto_free char *path = xasprintf("%s/config.json", b->bundle);
    auto_free char *text = xasprintf(
        "{\"ociVersion\":\"1.0.2\",\"process\":" PROCESS_JSON ",\"root\":{\"path\":\"rootfs\"},"
        "\"hostname\":\"t\",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":"
        "\"proc\"},{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":"
        "[\"nosuid\",\"mode=755\"]},{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":"
        "\"devpts\",\"options\":[\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]}],"
        "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
        "{\"type\":\"mount\"},{\"type\":\"network\"}],\"cgroupsPath\":\"/berth-test/%s\"%s}}",
        tty ? "true" : "false", args, b->id, more);

    write_text(path, text);
}

BUNDLE void make_rootfs(const char *bundle)
{
    static const char *const dirs[] = {
        "", "/rootfs", "/rootfs/bin", "/rootfs/dev", "/rootfs/proc", "/rootfs/etc"};
    static const char *const tools[] = {"sh",   "cat",  "echo", "true",      "sleep",
                                        "seq",  "stty", "head", "sha256sum", "dd",
                                        "kill", "tr",   "yes",  "false"};
    auto_free char *busybox = xasprintf("%s/rootfs/bin/busybox", bundle);

    for (size_t i = 0; i < COUNT(dirs); i++) {
        auto_free char *path = xasprintf("%s%s", bundle, dirs[i]);

        assert_int_equal(mkdir(path, 0755), 0);
    }
    copy_file("/bin/busybox", busybox);
    for (size_t i = 0; i < COUNT(tools); i++) {
        auto_free char *link_path = xasprintf("%s/rootfs/bin/%s", bundle, tools[i]);

        assert_int_equal(symlink("busybox", link_path), 0);
    }
}

/* ---- what the monitor tells ---- */

BUNDLE void on_box_exit(void *arg, const monitor_exit *exit)
{
    box *b = arg;

    assert_false(b->ended);
    b->ended = true;
    b->exit = *exit;
}

BUNDLE void on_box_exec_exit(void *arg, const char *id, const monitor_exit *exit)
{
    box *b = arg;

    free(b->exec_id);
    b->exec_id = xstrdup(id);
    b->exec_exit = *exit;
    b->exec_exits++;
    b->resized = true; /* wakes whoever waits for an event of an exec */
}

BUNDLE const monitor_events box_events = {on_box_exit, on_box_exec_exit};

BUNDLE void on_box_ready(void *arg, err *e)
{
    box *b = arg;

    b->ready = true;
    b->error = e;
}

BUNDLE void on_box_connected(void *arg, err *e, const monitor_started *state)
{
    box *b = arg;

    b->ready = true;
    b->error = e;
    if (state)
        b->start = *state;
}

BUNDLE void on_box_started(void *arg, err *e, const monitor_started *started)
{
    box *b = arg;

    b->started = true;
    b->error = e;
    if (started)
        b->start = *started;
}

/* ---- a container ---- */

BUNDLE box *box_new(const char *runtime_name)
{
    box *b = new0(box);

    str_random_id(b->id);
    b->dir = xstrdup("/tmp/berth-monitor-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    b->run = xasprintf("%s/run", b->dir);
    b->bundle = xasprintf("%s/bundle", b->dir);
    b->exit_path = xasprintf("%s/exit", b->dir);
    b->log_path = xasprintf("%s/log", b->dir);
    assert_int_equal(mkdir(b->run, 0700), 0);
    make_rootfs(b->bundle);
    b->rt = runtime_find(runtime_name);
    assert_non_null(b->rt);
    b->spec = (monitor_spec){
        .program = BERTH_MONITOR_PATH,
        .id = b->id,
        .run_dir = b->run,
        .exit_path = b->exit_path,
        .bundle = b->bundle,
        .runtime = b->rt->path,
        .runtime_args = (const char *const *)b->rt->args,
        .hide_unified = b->rt->hide_unified,
        .log = {.driver = "json-file", .path = b->log_path, .max_size = -1, .max_files = 1},
    };
    return b;
}

BUNDLE void box_spawn(box *b)
{
    b->m = monitor_spawn(&b->spec, &box_events, b, on_box_ready);
    assert_true(wait_for(&b->ready, WAIT_MS));
    if (b->error)
        fail_msg("spawn: %s", err_message(b->error));
}

BUNDLE void box_run(box *b)
{
    monitor_run(b->m, on_box_started, b);
    assert_true(wait_for(&b->started, WAIT_MS));
    if (b->error)
        fail_msg("run: %s", err_message(b->error));
}

/* Spawn, run, wait for the end. */
BUNDLE void box_go(box *b, const char *args)
{
    box_config(b, args, b->spec.tty, "");
    box_spawn(b);
    box_run(b);
    assert_true(wait_for(&b->ended, WAIT_MS));
}

BUNDLE bool is_gone(pid_t pid)
{
    for (int i = 0; i < 3000 && kill(pid, 0) == 0; i++)
        pass_time(1);
    return kill(pid, 0) < 0;
}

BUNDLE void box_free(box *b)
{
    char *rm[] = {(char *)"/bin/rm", (char *)"-rf", b->dir, NULL};

    monitor_free(b->m);
    pass_time(1);
    (void)run_runtime(b, "delete", "--force");
    assert_int_equal(run_argv(rm), 0);
    err_free(b->error);
    free(b->exec_id);
    free(b->dir);
    free(b->run);
    free(b->bundle);
    free(b->exit_path);
    free(b->log_path);
    free(b);
}

/* ---- clients ---- */

BUNDLE void on_taker_output(void *arg, const char *frame, size_t n)
{
    taker *t = arg;
    const unsigned char *h = (const unsigned char *)frame;
    size_t len = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];

    assert_int_equal(len + 8, n);
    assert_true(h[0] == 1 || h[0] == 2);
    buf_add(h[0] == 1 ? &t->out : &t->errs, frame + 8, n - 8);
}

BUNDLE void on_taker_end(void *arg, err *e)
{
    taker *t = arg;

    assert_false(t->ended);
    t->ended = true;
    t->why = e;
}

BUNDLE void on_taker_drain(void *arg)
{
    ((taker *)arg)->drained = true;
}

BUNDLE const attach_events taker_events = {on_taker_output, on_taker_end, on_taker_drain};

BUNDLE void taker_attach(taker *t, const box *b, const char *session, unsigned what)
{
    *t = (taker){0};
    t->a = monitor_attach(b->m, session, what, &taker_events, t);
}

BUNDLE void taker_done(taker *t)
{
    attach_free(t->a);
    buf_done(&t->out);
    buf_done(&t->errs);
    err_free(t->why);
}

BUNDLE int bundle_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    alarm(120);
    assert_null(loop_init());
    runtime_set_monitor_program(BERTH_MONITOR_PATH);
    assert_null(runtimes_init("/tmp/berth-monitor-test-root", NULL, 0, NULL));
    return 0;
}

/* The parent cgroup of all boxes, in every hierarchy that has it. */
BUNDLE void remove_cgroups(void)
{
    auto_closedir DIR *d = opendir("/sys/fs/cgroup");
    struct dirent *entry;

    (void)rmdir("/sys/fs/cgroup/berth-test");
    while (d && (entry = readdir(d))) {
        auto_free char *path = xasprintf("/sys/fs/cgroup/%s/berth-test", entry->d_name);

        (void)rmdir(path);
    }
}

BUNDLE int bundle_down(void **state)
{
    char *rm[] = {(char *)"/bin/rm", (char *)"-rf", (char *)"/tmp/berth-monitor-test-root", NULL};

    (void)state;
    (void)run_argv(rm);
    remove_cgroups();
    runtimes_done();
    runtime_set_monitor_program(NULL);
    loop_done();
    alarm(0);
    return 0;
}

#define box_test(fn) cmocka_unit_test_setup_teardown(fn, bundle_up, bundle_down)

#endif
