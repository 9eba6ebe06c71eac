/* client.c - one attached client: frames out, stdin in.
 *
 * The kernel's socket buffer is the client's queue.  When it is full the chunk waits here, and with
 * it the container, for as long as the client takes something now and then; bytes leaving that
 * buffer are seen by SIOCOUTQ, so that a slow reader is told from a dead one.  One thread. */
#include "session.h"
#include <berth/mem.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { STALL_TICK_MS = 250, MESSAGES_PER_TURN = 8, END_ROOM = 8 * 1024 };

struct client {
    client *next;
    session *s;
    source sock;
    unsigned what;     /* ATTACH bits: 1 stdin, 2 stdout, 4 stderr */
    const chunk *owed; /* it has not taken all of this, */
    size_t sent;       /* only so much */
    bool deaf;         /* takes no output any more; stdin may still be queued */
    bool stdin_ended;
    deadline stall;
    int quiet_ms, unread; /* at the last look */
};

enum { WHAT_STDIN = 1, WHAT_STDOUT = 2, WHAT_STDERR = 4, WHAT_REPLAY = 8 };

client *client_next(const client *c)
{
    return c->next;
}

bool client_owes(const client *c)
{
    return c->owed != NULL;
}

void client_unlink(client **list, const client *c)
{
    while (*list && *list != c)
        list = &(*list)->next;
    if (*list)
        *list = c->next;
}

static void client_gone(client *c)
{
    deadline_clear(&c->stall);
    source_close(&c->sock);
    session_client_left(c->s, c);
    free(c);
}

void client_update(client *c)
{
    uint32_t want = 0;

    if (!(c->what & WHAT_STDIN) || c->stdin_ended || session_takes_stdin(c->s))
        want |= EPOLLIN;
    if (c->owed)
        want |= EPOLLOUT;
    source_want(&c->sock, want);
}

static int unread_bytes(const client *c)
{
    int n = 0;

    return ioctl(c->sock.fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

/* The last word.  The socket may be full, so room is made for it; whoever reads gets everything
 * that was sent before it. */
void client_end(client *c, enum wire_end why)
{
    const char message[WIRE_HEADER] = {WIRE_END, 0, 0, 0, (char)why};
    int size = unread_bytes(c) + END_ROOM;

    (void)setsockopt(c->sock.fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    (void)send(c->sock.fd, message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
    client_gone(c);
}

static void on_stall_tick(void *owner)
{
    client *c = owner;
    int unread = unread_bytes(c);

    c->quiet_ms = unread < c->unread ? 0 : c->quiet_ms + STALL_TICK_MS;
    c->unread = unread;
    if (c->quiet_ms >= CLIENT_STALL_MS) {
        client_end(c, WIRE_END_SLOW);
        return;
    }
    deadline_set(&c->stall, STALL_TICK_MS, on_stall_tick, c);
}

static void client_stalled(client *c)
{
    c->quiet_ms = 0;
    c->unread = unread_bytes(c);
    if (!c->stall.armed)
        deadline_set(&c->stall, STALL_TICK_MS, on_stall_tick, c);
    client_update(c);
}

static bool send_frame(const client *c, unsigned stream, const char *p, size_t n)
{
    unsigned char header[WIRE_HEADER] = {(unsigned char)(stream + 1)};
    struct iovec parts[2] = {{header, sizeof header}, {(char *)p, n}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    header[4] = (unsigned char)(n >> 24);
    header[5] = (unsigned char)(n >> 16);
    header[6] = (unsigned char)(n >> 8);
    header[7] = (unsigned char)n;
    return sendmsg(c->sock.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* Send frames until the socket is full: 1 all sent, 0 full, -1 nobody reads there any more. */
static int push(client *c)
{
    while (c->sent < c->owed->len) {
        size_t n = c->owed->len - c->sent;

        n = n < WIRE_FRAME_MAX ? n : WIRE_FRAME_MAX;
        if (send_frame(c, c->owed->stream, c->owed->data + c->sent, n))
            c->sent += n;
        else if (errno != EINTR)
            return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
    }
    return 1;
}

/* Where the log ends for a client that shows it first, and what of a line is not in it yet.  The
 * socket is new: both fit. */
static void send_log_position(const client *c)
{
    char message[WIRE_HEADER + 16] = {WIRE_LOG_AT};
    const logfile *log = c->s->log;
    int64_t size = 0;
    uint64_t inode = 0;

    if (log)
        logfile_position(log, &size, &inode);
    memcpy(message + WIRE_HEADER, &size, sizeof size);
    memcpy(message + WIRE_HEADER + sizeof size, &inode, sizeof inode);
    (void)send(c->sock.fd, message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
    for (unsigned stream = 0; log && stream < 2; stream++) {
        size_t n;
        const char *kept = logfile_kept(log, stream, &n);

        if (n && (c->what & (stream ? WHAT_STDERR : WHAT_STDOUT)))
            (void)send_frame(c, stream, kept, n);
    }
}

/* It no longer reads.  What it wrote before may still be waiting, so it is not gone yet. */
static void go_deaf(client *c)
{
    c->deaf = true;
    c->owed = NULL;
    deadline_clear(&c->stall);
    client_update(c);
}

bool client_offer(client *c, const chunk *out)
{
    int result;

    if (c->deaf || !(c->what & (out->stream ? WHAT_STDERR : WHAT_STDOUT)))
        return true;
    c->owed = out;
    c->sent = 0;
    result = push(c);
    if (result == 0) {
        client_stalled(c);
        return false;
    }
    c->owed = NULL;
    if (result < 0)
        go_deaf(c);
    return true;
}

static void on_writable(client *c)
{
    int result = c->owed ? push(c) : 1;

    if (result == 0) {
        client_stalled(c);
        return;
    }
    deadline_clear(&c->stall);
    c->owed = NULL;
    if (result < 0)
        go_deaf(c);
    client_update(c);
    session_client_took(c->s);
}

/* One message: false when there is none, or c is gone. */
static bool receive_one(client *c)
{
    chunk *in = chunk_get();
    ssize_t n = recv(c->sock.fd, in->data, sizeof in->data, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        chunk_put(in);
        return false;
    }
    if (n <= 0) {
        /* A reset tells that it closed without reading all; what it wrote before comes next. */
        bool again = n < 0 && errno == ECONNRESET;

        chunk_put(in);
        if (!again)
            client_gone(c);
        return again;
    }
    in->at = WIRE_HEADER;
    in->len = (size_t)n;
    if (in->data[0] == WIRE_STDIN && in->len > WIRE_HEADER && (c->what & WHAT_STDIN) &&
        !c->stdin_ended) {
        session_stdin(c->s, in);
        return true;
    }
    if (in->data[0] == WIRE_STDIN_EOF && (c->what & WHAT_STDIN) && !c->stdin_ended) {
        c->stdin_ended = true;
        session_stdin_eof(c->s);
    }
    chunk_put(in);
    return true;
}

static void on_client(void *owner, uint32_t events)
{
    client *c = owner;

    if ((events & EPOLLOUT) && c->owed) {
        on_writable(c);
        return; /* the rest of the events comes again; c may be gone */
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    for (int i = 0; i < MESSAGES_PER_TURN; i++) {
        if ((c->what & WHAT_STDIN) && !c->stdin_ended && !session_takes_stdin(c->s)) {
            client_update(c);
            return;
        }
        if (!receive_one(c))
            return;
    }
}

void client_new(session *s, int fd, unsigned what)
{
    client *c = new0(client);
    int size = CLIENT_BUFFER;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    c->s = s;
    c->what = what;
    c->next = s->clients;
    s->clients = c;
    source_add(&c->sock, fd, 0, on_client, c);
    if (what & WHAT_REPLAY)
        send_log_position(c);
    client_update(c);
}
