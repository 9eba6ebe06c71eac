/* survive_test.c - a daemon that dies, a monitor that is killed, a disk that is full, a cgroup out
 * of memory: what must still be true afterwards. */
#include "bundle.h"
#include <berth/monitor_wire.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

/* Run body in a process of its own, a daemon that ends by SIGKILL with everything still open. */
static void in_killed_daemon(void (*body)(box *b), box *b)
{
    int status = 0;
    pid_t pid;

    loop_done();
    pid = fork();
    if (pid == 0) {
        if (loop_init())
            _exit(1);
        body(b);
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_null(loop_init());
}

static void start_container(box *b)
{
    box_spawn(b);
    box_run(b);
}

static void reconnect(box *b)
{
    b->ready = false;
    b->m = monitor_connect(b->run, b->id, &box_events, b, on_box_connected);
    assert_true(wait_for(&b->ready, WAIT_MS));
}

static void test_container_outlives_daemon(void **state)
{
    box *b = box_new(NULL);
    taker t;

    (void)state;
    b->spec.open_stdin = true;
    box_config(b, "\"sh\",\"-c\",\"echo up; read x; echo got $x; exit 6\"", false, "");
    in_killed_daemon(start_container, b);
    reconnect(b);
    assert_null(b->error);
    assert_true(b->start.pid > 0);
    assert_int_equal(kill(b->start.pid, 0), 0);
    assert_true(monitor_init_pidfd(b->m) >= 0);
    taker_attach(&t, b, "", ATTACH_STDIN | ATTACH_STDOUT);
    assert_true(attach_stdin(t.a, "word\n", 5));
    assert_true(wait_for(&t.ended, WAIT_MS));
    assert_string_equal(t.out.data, "got word\n");
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_int_equal(b->exit.code, 6);
    taker_done(&t);
    box_free(b);
}

/* It ended while no daemon was there: the record tells, and nothing lingers. */
static void test_exit_without_daemon(void **state)
{
    box *b = box_new(NULL);
    auto_free char *log = NULL, *socket_path = xasprintf("%s/monitor.sock", b->run);
    monitor_exit record = {0};
    err *e = NULL;

    (void)state;
    box_config(b, "\"sh\",\"-c\",\"sleep 0.5; echo last words; exit 11\"", false, "");
    in_killed_daemon(start_container, b);
    for (int i = 0; i < 400 && access(socket_path, F_OK) == 0; i++)
        pass_time(10);
    assert_int_equal(access(socket_path, F_OK), -1);
    e = monitor_read_exit(b->exit_path, &record);
    assert_null(e);
    assert_int_equal(record.code, 11);
    log = read_text(b->log_path);
    assert_non_null(strstr(log, "last words"));
    reconnect(b);
    assert_non_null(b->error);
    box_free(b);
}

/* A second daemon takes the place of the first. */
static void test_newer_daemon_takes_over(void **state)
{
    box *b = box_new(NULL);
    monitor *first;

    (void)state;
    box_config(b, "\"sleep\",\"300\"", false, "");
    start_container(b);
    first = b->m;
    reconnect(b);
    assert_null(b->error);
    pass_time(50);
    assert_false(b->ended); /* the first does not take it for a loss */
    monitor_free(first);
    assert_int_equal(kill(b->start.pid, SIGKILL), 0);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_false(b->exit.lost);
    assert_int_equal(b->exit.code, 137);
    box_free(b);
}

static void test_killed_monitor_is_noticed(void **state)
{
    box *b = box_new(NULL);
    taker t;
    monitor_exit record;
    err *e;

    (void)state;
    box_config(b, "\"sleep\",\"300\"", false, "");
    start_container(b);
    taker_attach(&t, b, "", ATTACH_STDOUT);
    pass_time(50);
    assert_int_equal(kill(monitor_pid(b->m), SIGKILL), 0);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_true(b->exit.lost);
    assert_int_equal(b->exit.code, 137);
    assert_true(wait_for(&t.ended, WAIT_MS));
    assert_non_null(t.why);
    e = monitor_read_exit(b->exit_path, &record);
    assert_int_equal(err_kind(e), ERR_NOT_FOUND);
    err_free(e);
    /* What the owner does then: the pidfd still means exactly this process. */
    assert_int_equal(kill(b->start.pid, 0), 0);
    assert_int_equal(syscall(SYS_pidfd_send_signal, monitor_init_pidfd(b->m), SIGKILL, NULL, 0), 0);
    assert_true(is_gone(b->start.pid));
    taker_done(&t);
    box_free(b);
}

static size_t processes_of(const box *b)
{
    auto_closedir DIR *d = opendir("/proc");
    struct dirent *entry;
    size_t n = 0;

    while ((entry = readdir(d))) {
        auto_free char *cgroup = xasprintf("/proc/%s/cgroup", entry->d_name);
        auto_free char *name = xasprintf("/proc/%s/cmdline", entry->d_name);
        auto_free char *where = read_text(cgroup), *what = read_text(name);

        n += where && what && *what && strstr(where, b->id); /* a zombie has no command line */
    }
    return n;
}

/* The monitor is killed while the runtime works.  The start fails, and not before the runtime is
 * done: so deleting finds all there is, and nothing runs on. */
static void test_monitor_killed_while_starting(void **state)
{
    static const char *const runtimes[] = {"crun", "runc"};

    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        box *b = box_new(runtimes[i % 2]);
        auto_free char *cgroup = xasprintf("/sys/fs/cgroup/pids/berth-test/%s", b->id);

        box_config(b, "\"sleep\",\"300\"", false, "");
        box_spawn(b);
        monitor_run(b->m, on_box_started, b);
        pass_time(1 + i);
        assert_int_equal(kill(monitor_pid(b->m), SIGKILL), 0);
        assert_true(wait_for(&b->started, WAIT_MS));
        if (!b->error)
            assert_true(wait_for(&b->ended, WAIT_MS));
        (void)run_runtime(b, "delete", "--force");
        assert_int_equal(processes_of(b), 0);
        assert_int_equal(access(cgroup, F_OK), -1);
        box_free(b);
    }
}

/* Neither our descriptors nor the lease reach the container's process. */
static void test_no_descriptor_leaks(void **state)
{
    static const char *const runtimes[] = {"crun", "runc"};

    (void)state;
    for (size_t i = 0; i < COUNT(runtimes); i++) {
        box *b = box_new(runtimes[i]);
        auto_free char *log = NULL;

        box_go(b, "\"sh\",\"-c\",\"for f in 3 4 5 6 7 8 9 10 11 12; do test -e /proc/self/fd/$f && "
                  "test -e /proc/$$/fd/$f && echo leak $f; done; echo end\"");
        log = read_text(b->log_path);
        assert_non_null(strstr(log, "end"));
        if (strstr(log, "leak"))
            fail_msg("%s: %s", runtimes[i], log);
        box_free(b);
    }
}

static void test_oom_is_told(void **state)
{
    static const char *const runtimes[] = {"crun", "runc"};

    (void)state;
    for (size_t i = 0; i < COUNT(runtimes); i++) {
        box *b = box_new(runtimes[i]);
        monitor_exit record;

        box_config(b, "\"sh\",\"-c\",\"dd if=/dev/zero of=/dev/null bs=200M count=3\"", false,
                   ",\"resources\":{\"memory\":{\"limit\":33554432,\"swap\":33554432}}");
        box_spawn(b);
        box_run(b);
        assert_true(wait_for(&b->ended, WAIT_MS));
        assert_int_equal(b->exit.code, 137);
        assert_true(b->exit.oom);
        assert_null(monitor_read_exit(b->exit_path, &record));
        assert_true(record.oom);
        box_free(b);
    }
}

/* The disk of the state and of the log fills up: the container runs on, its log has whole records
 * only, and its exit status is kept in room that was reserved. */
static void test_full_disk(void **state)
{
    box *b = box_new(NULL);
    auto_free char *disk = xasprintf("%s/disk", b->dir), *filler = xasprintf("%s/filler", disk);
    auto_free char *log = NULL, *log_path = xasprintf("%s/log", disk);
    auto_free char *exit_path = xasprintf("%s/exit", disk);
    monitor_exit record = {0};
    taker t;
    char zeros[4096] = {0};
    err *e;
    int fd;

    (void)state;
    assert_int_equal(mkdir(disk, 0755), 0);
    assert_int_equal(mount("tmpfs", disk, "tmpfs", 0, "size=1m"), 0);
    b->spec.log.path = log_path;
    b->spec.exit_path = exit_path;
    b->spec.open_stdin = true;
    box_config(b, "\"sh\",\"-c\",\"echo before; read x; seq 1 100000; exit 12\"", false, "");
    start_container(b);
    pass_time(200);
    fd = open(filler, O_WRONLY | O_CREAT, 0600);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
    taker_attach(&t, b, "", ATTACH_STDIN | ATTACH_STDOUT);
    assert_true(attach_stdin(t.a, "\n", 1));
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_true(wait_for(&t.ended, WAIT_MS));
    assert_int_equal(b->exit.code, 12);
    assert_int_equal(t.out.len, 588895);
    e = monitor_read_exit(exit_path, &record);
    log = read_text(log_path);
    assert_int_equal(umount2(disk, MNT_DETACH), 0);
    assert_null(e);
    assert_int_equal(record.code, 12);
    assert_non_null(strstr(log, "before"));
    assert_int_equal(log[strlen(log) - 1], '\n');
    taker_done(&t);
    box_free(b);
}

/* The end of a daemon is not the end of a StdinOnce client's input: the container goes on. */
static void attach_and_feed(box *b)
{
    taker *t = new0(taker);

    start_container(b);
    taker_attach(t, b, "", ATTACH_STDIN | ATTACH_STDOUT);
    (void)attach_stdin(t->a, "first\n", 6);
    pass_time(100);
}

static void test_stdin_outlives_daemon(void **state)
{
    box *b = box_new(NULL);
    auto_free char *log = NULL;
    taker t;

    (void)state;
    b->spec.open_stdin = b->spec.stdin_once = true;
    box_config(b, "\"sh\",\"-c\",\"cat; exit 21\"", false, "");
    in_killed_daemon(attach_and_feed, b);
    pass_time(300);
    reconnect(b);
    assert_null(b->error);
    assert_false(b->ended);
    taker_attach(&t, b, "", ATTACH_STDIN);
    assert_true(attach_stdin(t.a, "second\n", 7));
    taker_done(&t);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_int_equal(b->exit.code, 21);
    log = read_text(b->log_path);
    assert_non_null(strstr(log, "first"));
    assert_non_null(strstr(log, "second"));
    box_free(b);
}

/* The exit is not told before it is on disk; when the disk cannot take it, the telling is only
 * late. */
static void test_exit_is_recorded_before_told(void **state)
{
    box *b = box_new(NULL);
    auto_free char *home = xasprintf("%s/state", b->dir), *away = xasprintf("%s/away", b->dir);
    auto_free char *exit_path = xasprintf("%s/state/exit", b->dir);
    monitor_exit record;

    (void)state;
    assert_int_equal(mkdir(home, 0700), 0);
    b->spec.exit_path = exit_path;
    box_config(b, "\"sleep\",\"300\"", false, "");
    start_container(b);
    assert_int_equal(rename(home, away), 0);
    assert_int_equal(kill(b->start.pid, SIGKILL), 0);
    assert_false(wait_for(&b->ended, 700));
    assert_int_equal(rename(away, home), 0);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_null(monitor_read_exit(exit_path, &record));
    assert_int_equal(record.code, 137);
    box_free(b);
}

/* Messages that no daemon would send. */
static void send_garbage(const char *run_dir, unsigned seed)
{
    auto_free char *path = xasprintf("%s/monitor.sock", run_dir);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char hello[8] = {WIRE_HELLO};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    unsigned char message[300];

    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (seed % 4)
        (void)send(fd, hello, sizeof hello, MSG_NOSIGNAL);
    for (int i = 0; i < 30; i++) {
        size_t n = 1 + (seed = seed * 1103515245 + 12345) / 65536 % sizeof message;

        for (size_t k = 0; k < n; k++)
            message[k] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
        message[0] = (unsigned char)(16 + seed / 65536 % 8);
        if (message[0] == WIRE_SPEC || n < 12)
            continue;
        memset(message + 8, 0, 3); /* a length that is now and then within the message */
        if (send(fd, message, n, MSG_NOSIGNAL) < 0)
            break;
    }
}

static void test_garbage_is_survived(void **state)
{
    box *b = box_new(NULL);

    (void)state;
    box_config(b, "\"sh\",\"-c\",\"read x; exit 22\"", false, "");
    b->spec.open_stdin = b->spec.stdin_once = true;
    in_killed_daemon(start_container, b);
    for (unsigned seed = 1; seed < 200; seed++)
        send_garbage(b->run, seed);
    reconnect(b);
    assert_null(b->error);
    assert_false(b->ended);
    assert_int_equal(kill(b->start.pid, SIGKILL), 0);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_int_equal(b->exit.code, 137);
    box_free(b);
}

/* No descriptor left in the monitor: an exec fails with a reason, and the container goes on. */
static void on_told(void *arg, err *e)
{
    box *b = arg;

    b->resized = true;
    err_free(b->error);
    b->error = e;
}

static void test_monitor_out_of_descriptors(void **state)
{
    box *b = box_new(NULL);
    monitor_exec_spec spec = {.exec_id = "x", .process_path = "/nonexistent", .want_stdout = true};
    struct rlimit few, usual;

    (void)state;
    b->spec.open_stdin = b->spec.stdin_once = true;
    box_config(b, "\"sh\",\"-c\",\"cat; exit 13\"", false, "");
    start_container(b);
    assert_int_equal(prlimit(monitor_pid(b->m), RLIMIT_NOFILE, NULL, &usual), 0);
    few = (struct rlimit){8, usual.rlim_max};
    assert_int_equal(prlimit(monitor_pid(b->m), RLIMIT_NOFILE, &few, NULL), 0);
    monitor_exec_prepare(b->m, &spec, on_told, b);
    assert_true(wait_for(&b->resized, WAIT_MS));
    assert_non_null(b->error);
    assert_non_null(strstr(err_message(b->error), "Too many open files"));
    assert_int_equal(prlimit(monitor_pid(b->m), RLIMIT_NOFILE, &usual, NULL), 0);
    assert_int_equal(kill(b->start.pid, SIGKILL), 0);
    assert_true(wait_for(&b->ended, WAIT_MS));
    assert_false(b->exit.lost);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        box_test(test_container_outlives_daemon),
        box_test(test_exit_without_daemon),
        box_test(test_newer_daemon_takes_over),
        box_test(test_killed_monitor_is_noticed),
        box_test(test_monitor_killed_while_starting),
        box_test(test_no_descriptor_leaks),
        box_test(test_oom_is_told),
        box_test(test_full_disk),
        box_test(test_monitor_out_of_descriptors),
        box_test(test_stdin_outlives_daemon),
        box_test(test_exit_is_recorded_before_told),
        box_test(test_garbage_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
