/* forward.c - TCP that the kernel does not translate, carried by the loop.
 *
 * Each accepted connection gets one to the container; what one side sends is written to the other,
 * and a side that does not read stops the other from being read.  Loop thread only. */
#include "ports.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/sock.h>
#include <berth/watch.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

enum { UNSENT_MAX = 256 << 10, CARRIED_MAX = 4096 };

typedef struct carried carried;

typedef struct side {
    carried *of;
    sock *s;    /* NULL: not there yet, or closed */
    bool ended; /* sends nothing more */
} side;

struct carried {
    forward *f; /* NULL: it is gone */
    side client, container;
    int dialing; /* the socket while it connects; else -1 */
    watch *watch;
    unsigned open; /* sides whose on_closed is due */
    carried *prev, *next;
};

struct forward {
    listener *listener;
    struct sockaddr_in to;
    carried *all;
};

static unsigned n_carried;

static void carried_free_if_over(carried *k)
{
    if (k->open || k->watch)
        return;
    if (k->f)
        DL_DELETE(k->f->all, k);
    n_carried--;
    free(k);
}

static void cut(carried *k)
{
    watch_stop(take(k->watch));
    mem_closep(&k->dialing);
    k->dialing = -1;
    if (k->client.s)
        sock_close(take(k->client.s));
    if (k->container.s)
        sock_close(take(k->container.s));
}

static side *other(side *d)
{
    return d == &d->of->client ? &d->of->container : &d->of->client;
}

static void on_data(void *arg, const char *p, size_t n)
{
    side *d = arg, *to = other(d);

    if (!to->s)
        return;
    sock_write(to->s, p, n);
    if (sock_unsent(to->s) > UNSENT_MAX)
        sock_read(d->s, false);
}

static void on_drain(void *arg)
{
    side *d = arg, *from = other(d);

    if (from->s && d->s && sock_unsent(d->s) == 0)
        sock_read(from->s, true);
}

static void on_eof(void *arg, err *e)
{
    side *d = arg, *to = other(d);

    if (e || d->ended) { /* reset, or a write failed after the end */
        err_free(e);
        cut(d->of);
        return;
    }
    d->ended = true;
    if (to->s)
        sock_shutdown(to->s);
    if (to->ended)
        cut(d->of);
}

static void on_closed(void *arg)
{
    side *d = arg;

    d->of->open--;
    carried_free_if_over(d->of);
}

static const sock_events events = {on_data, on_eof, on_drain, on_closed};

static void side_begin(side *d, sock *s)
{
    d->s = s;
    d->of->open++;
    sock_set(s, &events, d);
}

static void on_dialed(void *arg, int what)
{
    carried *k = arg;
    int failed = 0;
    socklen_t n = sizeof(failed);
    sock *s = NULL;
    err *e;

    (void)what;
    watch_stop(take(k->watch));
    getsockopt(k->dialing, SOL_SOCKET, SO_ERROR, &failed, &n);
    e = failed ? err_errno(failed, "connect") : sock_adopt(k->dialing, &s);
    if (e) {
        log_debug("a published port's connection was refused", "error", err_message(e));
        err_free(e);
        cut(k);
        carried_free_if_over(k);
        return;
    }
    k->dialing = -1;
    side_begin(&k->container, s);
    sock_read(k->container.s, true);
    sock_read(k->client.s, true);
}

/* Never waits: the socket does not block. */
static int dial(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static void on_accept(void *arg, sock *s)
{
    forward *f = arg;
    carried *k = new0(carried);

    k->f = f;
    k->client.of = k->container.of = k;
    n_carried++;
    DL_APPEND(f->all, k);
    side_begin(&k->client, s);
    k->dialing = n_carried > CARRIED_MAX ? -1 : dial(&f->to);
    if (k->dialing < 0) {
        log_debug("a published port's connection was not carried", "open", n_carried);
        cut(k);
        return;
    }
    k->watch = watch_start("forward.dial", k->dialing, WATCH_WRITE, on_dialed, k);
}

static void on_error(void *arg, err *e)
{
    (void)arg;
    err_log(e, "a published port is not listened on any more");
}

err *forward_new(int fd, uint32_t ip, uint16_t port, forward **ret_f)
{
    static const listener_events on_listener = {on_accept, on_error};
    forward *f = new0(forward);
    err *e;

    f->to = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip)};
    e = listener_fd(fd, &on_listener, f, &f->listener);
    if (e) {
        free(f);
        return e;
    }
    *ret_f = f;
    return NULL;
}

void forward_free(forward *f)
{
    carried *k, *next;

    if (!f)
        return;
    listener_close(f->listener, false);
    DL_FOREACH_SAFE (f->all, k, next) {
        bool is_over;

        DL_DELETE(f->all, k);
        k->f = NULL;
        cut(k);
        is_over = !k->open;
        if (is_over)
            carried_free_if_over(k);
    }
    free(f);
}
