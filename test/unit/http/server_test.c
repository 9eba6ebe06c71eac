/* server_test.c - where a server listens: addresses, what is wrong with bad ones, socket
 * activation, the end. */
#include "http_rig.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void check_refused(const char *address, const char *want)
{
    http_opts opts = {"Test/1", NULL, 24, 51, NULL};
    http_server *s = http_server_new(&opts);
    auto_err *e = http_server_listen(s, address, "", NULL);

    if (!e || !str_eq(err_message(e), want))
        fail_msg("%s: \"%s\" instead of \"%s\"", address, err_message(e), want);
    http_server_free(s);
}

static int loop_up(void **state)
{
    (void)state;
    alarm(60);
    assert_null(loop_init());
    return 0;
}

static int loop_down(void **state)
{
    (void)state;
    loop_done();
    alarm(0);
    return 0;
}

static void test_bad_addresses(void **state)
{
    (void)state;
    check_refused("localhost:80", "bad format localhost:80, expected PROTO://ADDR");
    check_refused("", "bad format , expected PROTO://ADDR");
    check_refused("://x", "bad format ://x, expected PROTO://ADDR");
    check_refused("udp://1.2.3.4:5", "invalid protocol format: \"udp\"");
    check_refused("tcp://1.2.3.4:x", "invalid bind address (1.2.3.4:x): invalid port");
    check_refused("tcp://1.2.3.4:70000", "invalid bind address (1.2.3.4:70000): invalid port");
    check_refused("tcp://[::1",
                  "invalid bind address ([::1): should not contain a path or user information");
    check_refused("tcp://h:1/path",
                  "invalid bind address (h:1/path): should not contain a path or user information");
    check_refused("unix://", "socket path \"\" is empty or longer than 107 bytes");
}

static void listens(http_server *s, const char *address)
{
    auto_err *e = http_server_listen(s, address, "", NULL);

    if (e)
        fail_msg("%s: %s", address, err_message(e));
}

static void test_addresses(void **state)
{
    http_opts opts = {"Test/1", NULL, 24, 51, NULL};
    http_server *s = http_server_new(&opts);

    (void)state;
    listens(s, "tcp://127.0.0.1:0");
    listens(s, "tcp://[::1]:0");
    listens(s, "tcp://localhost:0");
    listens(s, "tcp://:0");
    assert_true(http_server_port(s) > 0);
    http_server_free(s);
}

static void test_unix_path(void **state)
{
    char dir[] = "/tmp/berth-server-XXXXXX";
    auto_free char *path = NULL, *address = NULL;
    http_opts opts = {"Test/1", NULL, 24, 51, NULL};
    http_server *s = http_server_new(&opts), *second = http_server_new(&opts);
    auto_err *e = NULL;
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = xasprintf("%s/s", dir);
    address = xasprintf("unix://%s", path);
    listens(s, address);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    e = http_server_listen(second, address, "", NULL);
    assert_int_equal(err_kind(e), ERR_CONFLICT);
    http_server_free(second);
    assert_int_equal(stat(path, &st), 0);
    http_server_free(s);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(rmdir(dir), 0);
}

static bool is_taken(int fd)
{
    socklen_t len = sizeof(int);
    int listening = 0;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening &&
           fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

/* In a child, whose descriptors 3 and 4 listen: tells the error, or which of them are still open.
 */
static void listen_as_activated(const char *address, const char *pid, const char *fds, int out)
{
    http_opts opts = {"Test/1", NULL, 24, 51, NULL};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    char self[16];
    err *e;

    bind(listening, (struct sockaddr *)&sa,
         sizeof(sa.sun_family)); /* to a name of the kernel's choice */
    listen(listening, 5);
    dup2(out, 60);
    dup2(listening, 61);
    close_range(3, 59, 0);
    dup2(61, 3);
    dup2(61, 4);
    if (loop_init())
        _exit(9);
    snprintf(self, sizeof(self), "%d", getpid());
    setenv("LISTEN_FDS", fds, 1);
    setenv("LISTEN_PID", str_eq(pid, "self") ? self : pid, 1);
    e = http_server_listen(http_server_new(&opts), address, "", NULL);
    if (e)
        dprintf(60, "%s", err_message(e));
    else
        dprintf(60, "%s %s", is_taken(3) ? "3" : "-", is_taken(4) ? "4" : "-");
    _exit(0);
}

static char *in_child(const char *address, const char *pid, const char *fds)
{
    auto_buf said = {0};
    int out[2], status = 0;
    pid_t child;

    assert_int_equal(pipe(out), 0);
    child = fork();
    if (child == 0)
        listen_as_activated(address, pid, fds, out[1]);
    close(out[1]);
    for (ssize_t n = 1; n > 0;) {
        char piece[256];

        n = read(out[0], piece, sizeof(piece));
        if (n > 0)
            buf_add(&said, piece, (size_t)n);
    }
    close(out[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return buf_take(&said);
}

static void test_socket_activation(void **state)
{
    static const char none[] =
        "no sockets found via socket activation: make sure the service was started by systemd";
    static const struct {
        const char *address, *pid, *fds, *want;
    } rows[] = {
        {"fd://", "self", "2", "3 4"},
        {"fd://*", "self", "2", "3 4"},
        {"fd://3", "self", "2", "3 -"},
        {"fd://4", "self", "2", "- 4"},
        {"fd://", "self", "0", none},
        {"fd://", "1", "2", none},
        {"fd://", "nonsense", "2", none},
        {"fd://", "self", "x", none},
        {"fd://5", "self", "2", none},
        {"fd://2", "self", "2", none},
        {"fd://name", "self", "2", "failed to parse systemd fd address: should be a number: name"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *said = in_child(rows[i].address, rows[i].pid, rows[i].fds);

        if (!str_eq(said, rows[i].want))
            fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].address, said, rows[i].want);
    }
}

/* A request under way has the grace time to be answered; then the end comes all the same. */
static void test_close_waits_for_answers(void **state)
{
    auto_buf in = {0};
    uint64_t began_ms;
    int fd;

    rig_up(state);
    fd = cl_unix();
    cl_say(fd, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(RIG_UNTIL(rig.handled == 1));
    began_ms = rig_now_ms();
    rig_down(state); /* its grace is 100 ms */
    assert_in_range(rig_now_ms() - began_ms, 95, 2000);
    assert_int_equal(rig.gone, 1);
    assert_true(cl_ends(fd, &in));
    close(fd);
    reply_empty(rig.parked, 204); /* of a client that is long gone */
}

/* What was answered before the end still arrives. */
static void test_close_sends_what_is_unsent(void **state)
{
    auto_buf in = {0};
    int fd;

    rig_up(state);
    fd = cl_unix();
    cl_say(fd, "GET /big?n=3000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    rig_sleep_ms(50);
    rig_call(rig_close, NULL);
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.n, 3000000);
        assert_true(cl_ends(fd, &in));
    }
    close(fd);
    rig_join();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket_activation),
        cmocka_unit_test_setup_teardown(test_bad_addresses, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(test_addresses, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(test_unix_path, loop_up, loop_down),
        cmocka_unit_test(test_close_waits_for_answers),
        cmocka_unit_test(test_close_sends_what_is_unsent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
