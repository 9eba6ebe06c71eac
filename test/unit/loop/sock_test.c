/* sock_test.c - byte streams and listeners on real sockets. */
#include "rig.h"
#include <berth/buf.h>
#include <berth/sock.h>
#include <berth/timer.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* What one end has seen. */
typedef struct end {
    sock *s;
    buf got;
    unsigned eofs, drains, closed;
    char *failure;
    bool close_at_eof, stop_at_data, echo;
} end;

static void on_data(void *arg, const char *p, size_t n)
{
    end *e = arg;

    if (e->echo)
        sock_write(e->s, p, n);
    else
        buf_add(&e->got, p, n);
    if (e->stop_at_data)
        loop_stop();
}

static void on_eof(void *arg, err *failure)
{
    end *e = arg;

    e->eofs++;
    if (failure) {
        free(e->failure);
        e->failure = xstrdup(err_message(failure));
    }
    err_free(failure);
    if (e->close_at_eof)
        sock_close(e->s);
    else
        loop_stop();
}

static void on_drain(void *arg)
{
    ((end *)arg)->drains++;
    loop_stop();
}

static void on_closed(void *arg)
{
    end *e = arg;

    e->closed++;
    e->s = NULL;
}

static const sock_events events = {on_data, on_eof, on_drain, on_closed};

static void end_done(end *e)
{
    if (e->s) {
        sock_close(e->s);
        loop_run();
    }
    buf_done(&e->got);
    free(e->failure);
}
#define auto_end __attribute__((cleanup(end_done))) end

static void adopt(end *e, int fd)
{
    assert_null(sock_adopt(fd, &e->s));
    sock_set(e->s, &events, e);
}

static void open_pair(end *e, int *ret_peer)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    adopt(e, pair[0]);
    *ret_peer = pair[1];
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop();
}

static void run_ms(unsigned ms)
{
    timer *t = timer_start("test", ms, stop, NULL);

    loop_run();
    timer_stop(t);
}

/* Read from the peer until n bytes came, letting the loop run in between. */
static void peer_drain(int fd, size_t n, buf *out)
{
    auto_free char *chunk = xmalloc(65536);

    for (int turns = 0; out->len < n && turns < 5000; turns++) {
        ssize_t got = recv(fd, chunk, 65536, MSG_DONTWAIT);

        if (got > 0)
            buf_add(out, chunk, (size_t)got);
        else
            run_ms(1);
    }
    assert_int_equal(out->len, n);
}

static void test_reading_begins_paused_and_pauses(void **state)
{
    auto_end e = {.stop_at_data = true};
    auto_close int peer = -1;

    (void)state;
    open_pair(&e, &peer);
    assert_int_equal(write(peer, "one", 3), 3);
    run_ms(10);
    assert_int_equal(e.got.len, 0);
    sock_read(e.s, true);
    loop_run();
    assert_string_equal(e.got.data, "one");
    sock_read(e.s, false);
    assert_int_equal(write(peer, "two", 3), 3);
    run_ms(10);
    assert_string_equal(e.got.data, "one");
    sock_read(e.s, true);
    loop_run();
    assert_string_equal(e.got.data, "onetwo");
    assert_true(sock_is_unix(e.s));
    assert_string_equal(sock_peer(e.s), "@");
}

static void test_small_writes_go_at_once(void **state)
{
    auto_end e = {0};
    auto_close int peer = -1;
    char got[32] = "";

    (void)state;
    open_pair(&e, &peer);
    sock_write(e.s, "head", 4);
    sock_write2(e.s, " and ", 5, "body", 4);
    sock_write2(e.s, "", 0, "!", 1);
    sock_write2(e.s, "?", 1, NULL, 0);
    assert_int_equal(sock_unsent(e.s), 0);
    assert_int_equal(read(peer, got, sizeof(got) - 1), 15);
    assert_string_equal(got, "head and body!?");
}

static void fill(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 + i / 251);
}

static void test_back_pressure(void **state)
{
    enum { SIZE = 3 * 1024 * 1024, PIECE = 100 * 1000 };
    auto_free char *all = xmalloc(SIZE);
    auto_end e = {0};
    auto_close int peer = -1;
    auto_buf got = {0};

    (void)state;
    fill(all, SIZE);
    open_pair(&e, &peer);
    for (size_t at = 0; at < SIZE; at += PIECE)
        sock_write2(e.s, all + at, 10, all + at + 10, (SIZE - at < PIECE ? SIZE - at : PIECE) - 10);
    assert_in_range(sock_unsent(e.s), SIZE / 2, SIZE);
    run_ms(10);
    assert_int_equal(e.drains, 0);
    peer_drain(peer, SIZE, &got);
    assert_memory_equal(got.data, all, SIZE);
    assert_true(e.drains >= 1);
    assert_int_equal(sock_unsent(e.s), 0);
    sock_write(e.s, "more", 4); /* and it goes on */
    peer_drain(peer, SIZE + 4, &got);
}

static void test_shutdown_waits_for_what_is_unsent(void **state)
{
    enum { SIZE = 1024 * 1024 };
    auto_free char *all = xmalloc(SIZE);
    auto_end e = {0};
    auto_close int peer = -1;
    auto_buf got = {0};
    char c;

    (void)state;
    fill(all, SIZE);
    open_pair(&e, &peer);
    sock_write(e.s, all, SIZE);
    sock_shutdown(e.s);
    sock_write(e.s, "too late", 8);
    peer_drain(peer, SIZE, &got);
    run_ms(5);
    assert_int_equal(recv(peer, &c, 1, MSG_DONTWAIT), 0); /* EOF, not EAGAIN */
    assert_memory_equal(got.data, all, SIZE);
    sock_read(e.s, true); /* the other direction still works */
    assert_int_equal(write(peer, "still here", 10), 10);
    e.stop_at_data = true;
    loop_run();
    assert_string_equal(e.got.data, "still here");
}

static void test_eof_does_not_close_writing(void **state)
{
    auto_end e = {0};
    auto_close int peer = -1;
    char got[16] = "";

    (void)state;
    open_pair(&e, &peer);
    sock_read(e.s, true);
    assert_int_equal(write(peer, "ask", 3), 3);
    shutdown(peer, SHUT_WR);
    loop_run();
    assert_int_equal(e.eofs, 1);
    assert_null(e.failure);
    assert_string_equal(e.got.data, "ask");
    sock_write(e.s, "answer", 6);
    assert_int_equal(read(peer, got, sizeof(got) - 1), 6);
    assert_string_equal(got, "answer");
    assert_int_equal(e.eofs, 1);
}

static void test_write_to_a_dead_peer_is_told_once(void **state)
{
    auto_end e = {0};
    auto_close int peer = -1;

    (void)state;
    open_pair(&e, &peer);
    close(take_fd(&peer));
    sock_write(e.s, "x", 1);
    assert_int_equal(e.eofs, 0); /* not from within sock_write */
    loop_run();
    assert_int_equal(e.eofs, 1);
    assert_non_null(strstr(e.failure, "Broken pipe"));
    sock_write(e.s, "y", 1);
    run_ms(5);
    assert_int_equal(e.eofs, 1);
    assert_int_equal(sock_unsent(e.s), 0);
}

static void test_peer_dies_under_a_long_write(void **state)
{
    enum { SIZE = 2 * 1024 * 1024 };
    auto_free char *all = xcalloc(1, SIZE);
    auto_end e = {0};
    auto_close int peer = -1;

    (void)state;
    open_pair(&e, &peer);
    sock_write(e.s, all, SIZE);
    sock_write(e.s, all, SIZE);
    run_ms(5);
    close(take_fd(&peer));
    loop_run();
    assert_int_equal(e.eofs, 1);
    assert_non_null(e.failure);
}

static void test_close_from_a_callback_with_a_write_in_flight(void **state)
{
    enum { SIZE = 2 * 1024 * 1024 };
    auto_free char *all = xcalloc(1, SIZE);
    auto_end e = {.close_at_eof = true};
    auto_close int peer = -1;

    (void)state;
    open_pair(&e, &peer);
    sock_read(e.s, true);
    sock_write(e.s, all, SIZE);
    sock_write(e.s, all, SIZE);
    shutdown(peer, SHUT_WR);
    loop_run();
    assert_int_equal(e.closed, 1);
    assert_null(e.s);
}

static void test_failure_and_close_in_one_turn(void **state)
{
    auto_end e = {0};
    auto_close int peer = -1;

    (void)state;
    open_pair(&e, &peer);
    close(take_fd(&peer));
    sock_write(e.s, "x", 1);
    sock_close(e.s);
    sock_close(e.s);
    loop_run();
    assert_int_equal(e.eofs, 0);
    assert_int_equal(e.closed, 1);
}

static void test_release(void **state)
{
    auto_end e = {0};
    auto_close int peer = -1, fd = -1;
    char got[8] = "";

    (void)state;
    open_pair(&e, &peer);
    sock_read(e.s, true);
    run_ms(2);
    fd = sock_release(e.s);
    e.s = NULL;
    loop_run();
    assert_int_equal(e.closed, 0);
    assert_int_equal(write(peer, "later", 5), 5);
    assert_int_equal(read(fd, got, sizeof(got)), 5);
    assert_int_equal(write(fd, "back", 4), 4);
    assert_int_equal(read(peer, got, sizeof(got)), 4);
}

static void test_adopt_refuses_what_is_not_connected(void **state)
{
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto_err *e = NULL;
    sock *s = NULL;

    (void)state;
    e = sock_adopt(fd, &s);
    assert_int_equal(err_errnum(e), ENOTCONN);
    assert_null(s);
}

/* ---- listeners ---- */

typedef struct server {
    listener *l;
    end ends[64];
    unsigned n, errors;
    unsigned stop_at; /* accepted so many */
} server;

static void on_accept(void *arg, sock *s)
{
    server *sv = arg;
    end *e = &sv->ends[sv->n++];

    assert_true(sv->n <= COUNT(sv->ends));
    *e = (end){.s = s, .echo = true, .close_at_eof = true};
    sock_set(s, &events, e);
    sock_read(s, true);
    if (sv->n == sv->stop_at)
        loop_stop();
}

static void on_error(void *arg, err *e)
{
    ((server *)arg)->errors++;
    err_free(e);
    loop_stop();
}

static const listener_events server_events = {on_accept, on_error};

static void server_done(server *sv)
{
    listener_close(sv->l, true);
    for (unsigned i = 0; i < sv->n; i++)
        end_done(&sv->ends[i]);
    loop_run();
}
#define auto_server __attribute__((cleanup(server_done))) server

static int connect_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_tcp(unsigned port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void expect_echo(int fd, const char *text)
{
    auto_buf got = {0};

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    peer_drain(fd, strlen(text), &got);
    assert_string_equal(got.data, text);
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_unix_listener(void **state)
{
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir);
    mode_t mask = umask(022);
    auto_close int fd = -1;

    (void)state;
    {
        auto_server sv = {.stop_at = 1};

        assert_null(listener_unix(path, "", &server_events, &sv, &sv.l));
        assert_int_equal(mode_of(path), 0660);
        assert_int_equal(umask(mask), 022); /* as it was */
        assert_true(listener_is_unix(sv.l));
        assert_int_equal(listener_port(sv.l), 0);
        fd = connect_unix(path);
        loop_run();
        expect_echo(fd, "over unix");
    }
    assert_int_equal(access(path, F_OK), -1);
    rig_rmdir(dir);
}

static void test_unix_group(void **state)
{
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir), *warned = NULL;
    auto_server number = {0}, docker = {0}, unknown = {0};
    auto_err *e = NULL;
    struct stat st;
    rig_log log;

    (void)state;
    assert_null(listener_unix(path, "4242", &server_events, &number, &number.l));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_gid, 4242);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(mode_of(path), 0660);
    listener_close(take(number.l), true);
    e = listener_unix(path, "no-such-group", &server_events, &unknown, &unknown.l);
    assert_int_equal(err_kind(e), ERR_INVALID);
    assert_int_equal(access(path, F_OK), -1); /* nothing is left */
    log = rig_log_begin();
    assert_null(listener_unix(path, "docker", &server_events, &docker, &docker.l));
    warned = rig_log_end(&log);
    assert_true(getgrnam("docker") || strstr(warned, "docker"));
    listener_close(take(docker.l), true);
    rig_rmdir(dir);
}

static void make_stale(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

static void test_stale_socket_is_replaced_a_live_one_never(void **state)
{
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir);
    auto_server first = {.stop_at = 2};
    listener *second = NULL;
    auto_close int fd = -1;
    auto_err *e = NULL;

    (void)state;
    make_stale(path);
    assert_null(listener_unix(path, "", &server_events, &first, &first.l));
    e = listener_unix(path, "", &server_events, &first, &second);
    assert_int_equal(err_kind(e), ERR_CONFLICT);
    fd = connect_unix(path);
    loop_run(); /* the probe and the client */
    expect_echo(fd, "still the first");
    listener_close(take(first.l), true);
    rig_rmdir(dir);
}

static void test_other_files_are_never_removed(void **state)
{
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir), *moved = xasprintf("%s/t", dir);
    auto_server file = {0}, replaced = {0};
    auto_err *e = NULL;

    (void)state;
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    e = listener_unix(path, "", &server_events, &file, &file.l);
    assert_int_equal(err_kind(e), ERR_CONFLICT);
    assert_int_equal(unlink(path), 0);
    assert_null(listener_unix(path, "", &server_events, &replaced, &replaced.l));
    assert_int_equal(rename(path, moved), 0);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    listener_close(take(replaced.l), true);
    assert_int_equal(access(path, F_OK), 0); /* not ours any more */
    rig_rmdir(dir);
}

static void test_bad_paths(void **state)
{
    auto_server sv = {0};
    char path[200];
    auto_err *empty = NULL, *too_long = NULL, *no_dir = NULL;

    (void)state;
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    empty = listener_unix("", "", &server_events, &sv, &sv.l);
    too_long = listener_unix(path, "", &server_events, &sv, &sv.l);
    no_dir = listener_unix("/no/such/dir/s", "", &server_events, &sv, &sv.l);
    assert_int_equal(err_kind(empty), ERR_INVALID);
    assert_int_equal(err_kind(too_long), ERR_INVALID);
    assert_int_equal(err_errnum(no_dir), ENOENT);
}

static void test_tcp_listener(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", ""};

    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        auto_server sv = {.stop_at = 1};
        auto_close int fd = -1;
        auto_err *e = NULL;
        listener *again = NULL;

        assert_null(listener_tcp(hosts[i], 0, &server_events, &sv, &sv.l));
        assert_in_range(listener_port(sv.l), 1, 65535);
        assert_false(listener_is_unix(sv.l));
        e = listener_tcp(hosts[i], listener_port(sv.l), &server_events, &sv, &again);
        assert_int_equal(err_errnum(e), EADDRINUSE);
        fd = connect_tcp(listener_port(sv.l));
        if (fd < 0)
            continue; /* localhost may be ::1 alone */
        loop_run();
        assert_true(str_starts(sock_peer(sv.ends[0].s), "127.0.0.1:"));
        assert_false(sock_is_unix(sv.ends[0].s));
        expect_echo(fd, "over TCP");
    }
}

static void test_tcp_errors(void **state)
{
    auto_server sv = {0};
    auto_err *name = NULL, *port = NULL, *address = NULL;

    (void)state;
    name = listener_tcp("no such host", 0, &server_events, &sv, &sv.l);
    port = listener_tcp("127.0.0.1", 65536, &server_events, &sv, &sv.l);
    address = listener_tcp("192.0.2.1", 0, &server_events, &sv, &sv.l);
    assert_int_equal(err_kind(name), ERR_INVALID);
    assert_int_equal(err_kind(port), ERR_INVALID);
    assert_int_equal(err_errnum(address), EADDRNOTAVAIL);
}

static void test_inherited_listener(void **state)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    auto_server sv = {.stop_at = 1};
    auto_err *early = NULL, *other = NULL;
    auto_close int client = -1;

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    early = listener_fd(fd, &server_events, &sv, &sv.l);
    assert_int_equal(err_kind(early), ERR_INVALID);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    other = listener_fd(pair[0], &server_events, &sv, &sv.l);
    assert_int_equal(err_errnum(other), ENOTSOCK);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(listen(fd, 16), 0);
    assert_null(listener_fd(fd, &server_events, &sv, &sv.l));
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    client = connect_tcp(listener_port(sv.l));
    loop_run();
    expect_echo(client, "handed over");
}

static void test_pause(void **state)
{
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir);
    auto_server sv = {0};
    auto_close int fd = -1;

    (void)state;
    assert_null(listener_unix(path, "", &server_events, &sv, &sv.l));
    listener_pause(sv.l, true);
    fd = connect_unix(path);
    run_ms(20);
    assert_int_equal(sv.n, 0);
    listener_pause(sv.l, false);
    run_ms(20);
    assert_int_equal(sv.n, 1);
    listener_close(take(sv.l), true);
    rig_rmdir(dir);
}

/* Accepting stops in the callback that closes the listener, with others waiting. */
static void close_at_accept(void *arg, sock *s)
{
    server *sv = arg;

    on_accept(arg, s);
    listener_close(take(sv->l), true);
}

static void test_close_from_on_accept(void **state)
{
    static const listener_events closing = {close_at_accept, on_error};
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir);
    auto_server sv = {0};
    int fds[3];

    (void)state;
    assert_null(listener_unix(path, "", &closing, &sv, &sv.l));
    for (int i = 0; i < 3; i++)
        fds[i] = connect_unix(path);
    run_ms(20);
    assert_int_equal(sv.n, 1);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    rig_rmdir(dir);
}

/* A flood never keeps other events from their turn: the timer fires between batches of accepts. */
static void test_accepting_is_fair(void **state)
{
    enum { CLIENTS = 40 };
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir);
    auto_server sv = {0};
    int fds[CLIENTS];

    (void)state;
    assert_null(listener_unix(path, "", &server_events, &sv, &sv.l));
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = connect_unix(path);
    run_ms(0);
    assert_in_range(sv.n, 0, 16);
    run_ms(50);
    assert_int_equal(sv.n, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    listener_close(take(sv.l), true);
    rig_rmdir(dir);
}

/* ---- out of descriptors: in a process of its own ---- */

static int child_check(bool ok, const char *what)
{
    if (!ok)
        fprintf(stderr, "out of descriptors: %s\n", what);
    return ok ? 0 : 1;
}

/* The clients' sockets exist before the limit falls, so connecting needs no descriptor. */
static int out_of_descriptors(const char *path)
{
    enum { CLIENTS = 8 };
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    server *sv = xcalloc(1, sizeof(*sv));
    int fds[CLIENTS], bad = 0, accepted = 0;
    int filler, room[3] = {0};
    char c;

    alarm(30);
    strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
    if (loop_init() || listener_unix(path, "", &server_events, sv, &sv->l))
        return 1;
    fds[0] = connect_unix(path); /* what libuv opens with its first stream, it opens now */
    run_ms(20);
    close(fds[0]);
    run_ms(20);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64});
    while ((filler = dup(0)) >= 0) {
        room[0] = room[1];
        room[1] = room[2];
        room[2] = filler;
    }
    for (int i = 0; i < 3; i++)
        close(room[i]);
    for (int i = 0; i < CLIENTS; i++)
        if (connect(fds[i], (struct sockaddr *)&sa, sizeof(sa)))
            return 1;
    run_ms(50);
    bad += child_check(sv->n == 4, "three are accepted");
    for (int i = 0; i < CLIENTS; i++)
        accepted += recv(fds[i], &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
    bad += child_check(accepted == 3, "the others hear at once");
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    run_ms(50);
    fds[0] = connect_unix(path);
    run_ms(50);
    bad += child_check(fds[0] >= 0 && sv->n == 5, "accepting resumes");
    bad += child_check(sv->errors == 0, "the listener lives");
    close(fds[0]);
    server_done(sv);
    free(sv);
    loop_done();
    return bad;
}

static void test_out_of_descriptors(void **state)
{
    char *dir = rig_mkdir();
    auto_free char *path = xasprintf("%s/s", dir);
    int status = 0;
    pid_t pid;

    (void)state;
    pid = fork();
    if (pid == 0)
        _exit(out_of_descriptors(path));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    rig_rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_descriptors), /* forks: before there is a loop or a thread */
        rig_test(test_reading_begins_paused_and_pauses),
        rig_test(test_small_writes_go_at_once),
        rig_test(test_back_pressure),
        rig_test(test_shutdown_waits_for_what_is_unsent),
        rig_test(test_eof_does_not_close_writing),
        rig_test(test_write_to_a_dead_peer_is_told_once),
        rig_test(test_peer_dies_under_a_long_write),
        rig_test(test_close_from_a_callback_with_a_write_in_flight),
        rig_test(test_failure_and_close_in_one_turn),
        rig_test(test_release),
        rig_test(test_adopt_refuses_what_is_not_connected),
        rig_test(test_unix_listener),
        rig_test(test_unix_group),
        rig_test(test_stale_socket_is_replaced_a_live_one_never),
        rig_test(test_other_files_are_never_removed),
        rig_test(test_bad_paths),
        rig_test(test_tcp_listener),
        rig_test(test_tcp_errors),
        rig_test(test_inherited_listener),
        rig_test(test_pause),
        rig_test(test_close_from_on_accept),
        rig_test(test_accepting_is_fair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
