/* sock.c - a connected byte stream with back-pressure both ways.
 *
 * Writes go straight to the kernel; only what it does not take is copied: one write is in flight
 * and later bytes gather behind it in one buffer.  Reads land in the loop's one buffer, so an idle
 * connection owns none.  Pausing and resuming costs no system call unless bytes come in between.
 * Loop thread only. */
#include "uvloop.h"
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/sock.h>
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LOW_MARK = 16 * 1024, /* on_drain below this */
    TCP_KEEPALIVE_S = 60, /* a peer that vanished is noticed after some minutes */
};

struct sock {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } uv;
    const sock_events *events;
    void *arg;
    char *peer;     /* NULL for unix */
    buf waiting;    /* behind the write in flight */
    err *failure;   /* of a write, until on_eof has told it */
    bool want_read; /* what the owner asked for */
    bool reading;   /* what libuv does */
    bool writing;   /* a write is in flight */
    bool ended;     /* the peer's EOF was told */
    bool broken;    /* an error: nothing is sent or read any more */
    bool shut;      /* no more writes; the kernel is told when all is sent */
    bool closing;
    bool released; /* closing, and nobody is told */
};

const size_t sock_bytes = sizeof(struct sock);

typedef struct pending {
    uv_write_t req;
    char *data;
    size_t n;
} pending;

static void flush_waiting(sock *s);

static void read_stop(sock *s)
{
    if (s->reading)
        uv_read_stop(&s->uv.stream);
    s->reading = false;
}

static void tell_failure(void *arg)
{
    sock *s = arg;

    if (!s->closing && s->events)
        s->events->on_eof(s->arg, take(s->failure));
}

/* A write failed: told from the loop, never from within sock_write. */
static void write_failed(sock *s, int rc)
{
    if (s->broken || s->closing)
        return;
    s->broken = true;
    s->failure = uv_failed(rc, "write to client");
    buf_done(&s->waiting);
    read_stop(s);
    s->want_read = false;
    loop_defer(tell_failure, s);
}

static void pending_free(pending *p)
{
    free(p->data);
    free(p);
}

static void all_sent(sock *s)
{
    if (s->shut)
        shutdown(sock_fd(s), SHUT_WR);
}

static void on_written(uv_write_t *req, int status)
{
    pending *p = req->data;
    sock *s = (sock *)req->handle;
    LOOP_CALLBACK("socket written");

    pending_free(p);
    s->writing = false;
    if (s->closing || s->broken)
        return;
    if (status < 0) {
        write_failed(s, status);
        return;
    }
    if (s->waiting.len)
        flush_waiting(s);
    else
        all_sent(s);
    if (!s->broken && s->events && sock_unsent(s) <= LOW_MARK)
        s->events->on_drain(s->arg);
}

/* Send n bytes from data on, which is owned here now, when the kernel has room again. */
static void write_later(sock *s, char *data, size_t n)
{
    pending *p = new0(pending);
    uv_buf_t piece = uv_buf_init(data, (unsigned)n);
    int rc;

    p->data = data;
    p->req.data = p;
    rc = uv_write(&p->req, &s->uv.stream, &piece, 1, on_written);
    if (rc) {
        pending_free(p);
        write_failed(s, rc);
        return;
    }
    s->writing = true;
}

static void flush_waiting(sock *s)
{
    size_t n = s->waiting.len;

    write_later(s, buf_take(&s->waiting), n);
}

/* Copy two pieces behind what out has, without the bytes that are sent already. */
static void keep_rest(buf *out, const uv_buf_t pieces[2], size_t sent)
{
    for (int i = 0; i < 2; i++) {
        size_t skip = sent < pieces[i].len ? sent : pieces[i].len;

        if (skip < pieces[i].len)
            buf_add(out, pieces[i].base + skip, pieces[i].len - skip);
        sent -= skip;
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    sock *s = (sock *)h;

    (void)suggested;
    /* No room means UV_ENOBUFS in on_read, before anything was read. */
    *ret = s->want_read ? uv_buf_init(loop_read_buffer(), LOOP_READ_BUFFER) : uv_buf_init(NULL, 0);
}

static void read_ended(sock *s, int rc)
{
    read_stop(s);
    s->ended = true;
    if (rc == UV_EOF) {
        s->events->on_eof(s->arg, NULL);
        return;
    }
    s->broken = true;
    s->events->on_eof(s->arg, uv_failed(rc, "read from client"));
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *got)
{
    sock *s = (sock *)h;
    LOOP_CALLBACK("socket data");

    if (n > 0)
        s->events->on_data(s->arg, got->base, (size_t)n);
    else if (n == UV_ENOBUFS && !s->want_read)
        read_stop(s);
    else if (n < 0)
        read_ended(s, (int)n);
}

static void sock_gone(void *arg)
{
    sock *s = arg;

    if (s->events && !s->released)
        s->events->on_closed(s->arg);
    err_free(s->failure);
    buf_done(&s->waiting);
    free(s->peer);
    free(s);
}

static void on_sock_closed(uv_handle_t *h)
{
    LOOP_CALLBACK("socket closed");
    loop_defer(sock_gone, h); /* behind a failure that waits to be told */
}

static void on_open_failed(uv_handle_t *h)
{
    sock *s = (sock *)h;

    free(s->peer);
    free(s);
}

static int open_handle(sock *s, int fd, bool is_unix)
{
    int rc;

    if (is_unix) {
        rc = uv_pipe_init(loop_uv(), &s->uv.pipe, 0);
        return rc ? rc : uv_pipe_open(&s->uv.pipe, fd);
    }
    uv_tcp_init(loop_uv(), &s->uv.tcp);
    rc = uv_tcp_open(&s->uv.tcp, fd);
    if (rc)
        return rc;
    /* Best effort: a connection that just died refuses both, and reading tells that. */
    uv_tcp_nodelay(&s->uv.tcp, 1);
    uv_tcp_keepalive(&s->uv.tcp, 1, TCP_KEEPALIVE_S);
    return 0;
}

static bool is_v4_mapped(const struct sockaddr_storage *sa)
{
    return sa->ss_family == AF_INET6 &&
           IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

char *sock_address_text(const struct sockaddr_storage *sa)
{
    const struct sockaddr_in6 *six = (const void *)sa;
    const struct sockaddr_in *four = (const void *)sa;
    char text[INET6_ADDRSTRLEN] = "?";

    if (is_v4_mapped(sa)) {
        inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text, sizeof(text));
        return xasprintf("%s:%u", text, ntohs(six->sin6_port));
    }
    if (sa->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
        return xasprintf("[%s]:%u", text, ntohs(six->sin6_port));
    }
    inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
    return xasprintf("%s:%u", text, ntohs(four->sin_port));
}

err *sock_open(int fd, bool is_unix, char *peer, sock **ret_sock)
{
    sock *s = new0(sock);
    int rc;

    s->peer = peer;
    rc = open_handle(s, fd, is_unix);
    if (rc) {
        uv_close(&s->uv.handle, on_open_failed);
        return uv_failed(rc, "connection");
    }
    *ret_sock = s;
    return NULL;
}

err *sock_adopt(int fd, sock **ret_sock)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);

    if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0 && errno != ENOTSOCK)
        return err_errno(errno, "descriptor %d", fd);
    if (sa.ss_family == AF_INET || sa.ss_family == AF_INET6)
        return sock_open(fd, false, sock_address_text(&sa), ret_sock);
    return sock_open(fd, true, NULL, ret_sock);
}

void sock_set(sock *s, const sock_events *events, void *arg)
{
    s->events = events;
    s->arg = arg;
}

void sock_read(sock *s, bool on)
{
    s->want_read = on && !s->ended && !s->broken && !s->closing;
    if (!s->want_read || s->reading)
        return;
    s->reading = uv_read_start(&s->uv.stream, on_alloc, on_read) == 0;
}

void sock_write(sock *s, const void *p, size_t n)
{
    sock_write2(s, p, n, NULL, 0);
}

void sock_write2(sock *s, const void *p1, size_t n1, const void *p2, size_t n2)
{
    uv_buf_t pieces[2] = {uv_buf_init((char *)p1, (unsigned)n1),
                          uv_buf_init((char *)p2, (unsigned)n2)};
    int rc;

    assert(n1 <= UINT_MAX && n2 <= UINT_MAX);
    if (s->broken || s->closing || s->shut || n1 + n2 == 0)
        return;
    if (s->writing) {
        keep_rest(&s->waiting, pieces, 0);
        return;
    }
    rc = uv_try_write(&s->uv.stream, pieces + !n1, !!n1 + !!n2);
    if (rc < 0 && rc != UV_EAGAIN) {
        write_failed(s, rc);
        return;
    }
    keep_rest(&s->waiting, pieces, rc < 0 ? 0 : (size_t)rc);
    if (s->waiting.len)
        flush_waiting(s);
}

size_t sock_unsent(const sock *s)
{
    return s->broken || s->closing ? 0 : s->uv.stream.write_queue_size + s->waiting.len;
}

void sock_shutdown(sock *s)
{
    if (s->shut || s->broken || s->closing)
        return;
    s->shut = true;
    if (!s->writing)
        all_sent(s);
}

void sock_close(sock *s)
{
    if (s->closing)
        return;
    s->closing = true;
    s->want_read = s->reading = false;
    uv_close(&s->uv.handle, on_sock_closed);
}

bool sock_is_unix(const sock *s)
{
    return !s->peer;
}

const char *sock_peer(const sock *s)
{
    return s->peer ? s->peer : "@";
}

int sock_fd(const sock *s)
{
    uv_os_fd_t fd = -1;

    uv_fileno(&s->uv.handle, &fd);
    return fd;
}

int sock_release(sock *s)
{
    int fd;

    assert(!s->closing && sock_unsent(s) == 0);
    fd = fcntl(sock_fd(s), F_DUPFD_CLOEXEC, 3);
    s->released = true;
    sock_close(s);
    return fd;
}
