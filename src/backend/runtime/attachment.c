/* attachment.c - one attached client's channel to a session of a monitor.
 *
 * A socketpair whose other half went to the monitor, so it is independent of the control connection
 * and of the monitor object.  Messages are whole Docker stream frames and are handed on as they
 * are. Every callback may free the attachment.  Loop thread only. */
#include "monitor_private.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    FRAMES_PER_TURN = 16,
    FRAME_SIZE = WIRE_HEADER + WIRE_FRAME_MAX,
    LAST_WORD_ROOM = 512 * 1024, /* more than the kernel holds for an attachment otherwise */
};

struct attachment {
    int fd;
    watch *watch;
    const attach_events *events;
    void *arg;
    buf input;      /* not yet sent */
    bool has_stdin; /* and its end was not said */
    bool eof_owed, want_drain;
    bool paused, ended, freed;
};

static void update(attachment *a)
{
    int events = a->paused ? 0 : WATCH_READ;

    if (a->input.len || a->eof_owed)
        events |= WATCH_WRITE;
    if (a->watch)
        watch_set(a->watch, events);
}

static void end(attachment *a, err *e)
{
    a->ended = true;
    watch_stop(a->watch);
    a->watch = NULL;
    close(a->fd);
    a->fd = -1;
    a->events->on_end(a->arg, e);
}

/* ---- output ---- */

static err *reason(const char *message)
{
    switch ((enum wire_end)message[4]) {
    case WIRE_END_DONE:
        return NULL;
    case WIRE_END_SLOW:
        return err_new(ERR_CANCELLED, "the client did not read its output");
    case WIRE_END_REFUSED:
        return err_new(ERR_NOT_FOUND, "no such session");
    }
    return err_new(ERR_SYSTEM, "the monitor ended the connection");
}

static void told_log_position(const attachment *a, const char *message, size_t n)
{
    wire_in in = wire_open(message, n);
    int64_t size = wire_get_int(&in);

    if (a->events->on_log_position)
        a->events->on_log_position(a->arg, size, (uint64_t)wire_get_int(&in));
}

/* One message; false when there is none, or after the last one. */
static bool receive(attachment *a, char *space)
{
    ssize_t n = recv(a->fd, space, FRAME_SIZE, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0 && errno == ECONNRESET)
        return true; /* it did not read all of our input; what it sent before comes next */
    if (n <= 0) {
        end(a, err_new(ERR_UNAVAILABLE, "the container's monitor is gone"));
        return false;
    }
    if (n < WIRE_HEADER || n > FRAME_SIZE)
        end(a, err_new(ERR_SYSTEM, "malformed message of the monitor"));
    else if (space[0] == WIRE_END)
        end(a, reason(space));
    else if (space[0] == 1 || space[0] == 2)
        a->events->on_output(a->arg, space, (size_t)n);
    else if (space[0] == WIRE_LOG_AT)
        told_log_position(a, space, (size_t)n);
    return !a->ended && !a->freed && !a->paused;
}

/* ---- input ---- */

/* One WIRE_STDIN of up to WIRE_STDIN_MAX bytes; false when the socket is full. */
static bool send_input(attachment *a, const char *p, size_t n)
{
    char header[WIRE_HEADER] = {WIRE_STDIN};
    struct iovec parts[2] = {{header, sizeof header}, {(char *)p, n}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    return sendmsg(a->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
           (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM);
}

static size_t send_most(attachment *a, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t piece = n - done < WIRE_STDIN_MAX ? n - done : WIRE_STDIN_MAX;

        if (!send_input(a, p + done, piece))
            break;
        done += piece;
    }
    return done;
}

static void send_eof(attachment *a)
{
    const char header[WIRE_HEADER] = {WIRE_STDIN_EOF};

    a->eof_owed = send(a->fd, header, sizeof header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
                  (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM);
}

static void flush_input(attachment *a)
{
    buf_consume(&a->input, send_most(a, a->input.data, a->input.len));
    if (a->input.len)
        return;
    buf_done(&a->input);
    if (a->eof_owed)
        send_eof(a);
    update(a);
    if (a->want_drain) {
        a->want_drain = false;
        if (a->events->on_stdin_drain)
            a->events->on_stdin_drain(a->arg);
    }
}

static void on_ready(void *arg, int events)
{
    attachment *a = arg;
    char space[FRAME_SIZE];

    if (events & WATCH_WRITE)
        flush_input(a);
    for (int i = 0; i < FRAMES_PER_TURN && !a->ended && !a->freed && !a->paused; i++) {
        if (!receive(a, space))
            break;
    }
}

/* ---- public ---- */

static void on_stillborn(void *arg)
{
    attachment *a = arg;

    if (!a->freed && !a->ended) {
        a->ended = true;
        a->events->on_end(a->arg, err_new(ERR_UNAVAILABLE, "the container's monitor is gone"));
    }
}

attachment *monitor_attach(monitor *m, const char *session, unsigned what, const attach_events *ev,
                           void *arg)
{
    attachment *a = new0(attachment);
    auto_buf b = {0};
    int pair[2];

    a->events = ev;
    a->arg = arg;
    a->fd = -1;
    if (m->link.fd < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        loop_defer(on_stillborn, a);
        return a;
    }
    wire_begin(&b, WIRE_ATTACH, 0);
    wire_put_str(&b, session);
    wire_put_int(&b, what);
    wire_link_send(&m->link, &b, pair[1]);
    close(pair[1]);
    a->fd = pair[0];
    a->has_stdin = what & ATTACH_STDIN;
    a->watch = watch_start("attachment", a->fd, WATCH_READ, on_ready, a);
    return a;
}

bool attach_stdin(attachment *a, const char *p, size_t n)
{
    size_t done = 0;

    if (a->ended || a->fd < 0)
        return true; /* nobody takes it; on_end tells */
    if (!a->input.len)
        done = send_most(a, p, n);
    buf_add(&a->input, p + done, n - done);
    a->want_drain = a->input.len > 0;
    update(a);
    return a->input.len == 0;
}

void attach_stdin_eof(attachment *a)
{
    if (a->ended || a->fd < 0)
        return;
    a->has_stdin = false;
    a->eof_owed = true;
    if (!a->input.len)
        send_eof(a);
    update(a);
}

void attach_pause(attachment *a, bool paused)
{
    a->paused = paused;
    update(a);
}

/* A client that leaves ends its input, and not by the channel's end alone: that is what the death
 * of this daemon looks like.  The socket may be full, so room is made for this one message. */
static void leave(attachment *a)
{
    int size = LAST_WORD_ROOM;

    if (a->input.len || a->eof_owed)
        (void)setsockopt(a->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    send_eof(a);
}

static void free_now(void *arg)
{
    attachment *a = arg;

    buf_done(&a->input);
    free(a);
}

void attach_free(attachment *a)
{
    if (!a || a->freed)
        return;
    a->freed = true;
    watch_stop(a->watch);
    a->watch = NULL;
    if (a->fd >= 0 && (a->has_stdin || a->eof_owed))
        leave(a);
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    loop_defer(free_now, a);
}
