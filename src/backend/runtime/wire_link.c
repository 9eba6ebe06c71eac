/* wire_link.c - one end of a SEQPACKET connection to a monitor.
 *
 * A monitor answers at once unless it is stopped, so the queue is nearly always empty; what is in
 * it is bounded by the requests that are pending.  Loop thread only. */
#include "wire_link.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_message {
    wire_message *next;
    int fd;
    size_t n;
    char data[];
};

static bool send_now(int sock, const char *p, size_t n, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(char *)p, n};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
    }
    return sendmsg(sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void message_free(wire_message *m)
{
    if (m->fd >= 0)
        close(m->fd);
    free(m);
}

void wire_link_open(wire_link *l, int fd, void (*ready)(void *arg, int events), void *arg)
{
    l->fd = fd;
    l->watch = watch_start("monitor", fd, WATCH_READ, ready, arg);
}

/* A peer that is gone shows as the end of what is received; here its message is just dropped. */
void wire_link_send(wire_link *l, const buf *message, int fd)
{
    wire_message **last = &l->queue;
    wire_message *m;

    if (l->fd < 0)
        return;
    if (!l->queue && (send_now(l->fd, message->data, message->len, fd) || errno != EAGAIN))
        return;
    while (*last)
        last = &(*last)->next;
    m = xmalloc(sizeof *m + message->len);
    m->next = NULL;
    m->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    m->n = message->len;
    memcpy(m->data, message->data, message->len);
    *last = m;
    watch_set(l->watch, WATCH_READ | WATCH_WRITE);
}

void wire_link_writable(wire_link *l)
{
    for (wire_message *m; (m = l->queue);) {
        if (!send_now(l->fd, m->data, m->n, m->fd) && errno == EAGAIN)
            return;
        l->queue = m->next;
        message_free(m);
    }
    watch_set(l->watch, WATCH_READ);
}

int wire_link_receive(wire_link *l, char **ret, size_t *ret_n, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space};
    ssize_t n = recv(l->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    auto_free char *text = NULL;
    struct cmsghdr *c;

    *ret_fd = -1;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR || errno == ECONNRESET ? 0 : -1;
    if (n == 0 || n > WIRE_CONTROL_MAX)
        return -1;
    text = xmalloc((size_t)n);
    part = (struct iovec){text, (size_t)n};
    message.msg_controllen = sizeof control.space;
    n = recvmsg(l->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    c = CMSG_FIRSTHDR(&message);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    *ret_n = (size_t)n;
    *ret = take(text);
    return 1;
}

void wire_link_close(wire_link *l)
{
    if (l->fd < 0)
        return;
    watch_stop(l->watch);
    close(l->fd);
    l->fd = -1;
    l->watch = NULL;
    for (wire_message *m; (m = l->queue);) {
        l->queue = m->next;
        message_free(m);
    }
}
