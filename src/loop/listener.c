/* listener.c - accepts connections: unix sockets, TCP, and what a service manager handed over.
 *
 * A flood of connections gets a bounded share of each turn of the loop.  When descriptors run out,
 * the reserved one is given up for a moment to accept and close the connection that waits: its
 * client hears at once, and the next one may be luckier.  Loop thread only. */
#include "uvloop.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/sock.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <berth/watch.h>
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 16,
    RETRY_MS = 100, /* after an error that only time cures */
    SHED_LOG_EVERY_MS = 5000,
};

struct listener {
    int fd, reserve;
    watch *watch;
    timer *retry;
    const listener_events *events;
    void *arg;
    bool is_unix, paused, closing;
    unsigned port;
    uint64_t shed,
        shed_logged_ms; /* connections turned away since the last log line, and its time */
    char *path; /* of a unix socket that we bound, with its inode: only that is ever unlinked */
    dev_t dev;
    ino_t ino;
};

static void set_watch(listener *l)
{
    watch_set(l->watch, l->paused || l->retry ? 0 : WATCH_READ);
}

static void on_retry(void *arg)
{
    listener *l = arg;

    timer_stop(take(l->retry));
    set_watch(l);
}

static void back_off(listener *l)
{
    if (!l->retry)
        l->retry = timer_start("accept again", RETRY_MS, on_retry, l);
    set_watch(l);
}

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void log_shed(listener *l)
{
    uint64_t now_ms = loop_now_ms();

    l->shed++;
    if (l->shed_logged_ms && now_ms - l->shed_logged_ms < SHED_LOG_EVERY_MS)
        return;
    log_warn("out of descriptors: connections turned away", "count", l->shed);
    l->shed_logged_ms = now_ms;
    l->shed = 0;
}

static void shed(listener *l)
{
    int fd;

    if (l->reserve < 0) {
        l->reserve = open_reserve();
        back_off(l);
        return;
    }
    close(take_fd(&l->reserve));
    fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        log_shed(l);
    }
    l->reserve = open_reserve();
}

static void accept_failed(listener *l, int errnum)
{
    switch (errnum) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
        return;
    case EMFILE:
    case ENFILE:
        shed(l);
        return;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
        l->paused = true;
        set_watch(l);
        l->events->on_error(l->arg, err_errno(errnum, "accept"));
        return;
    default: /* of the network or of memory: passing */
        log_warn("accept failed", "error", strerror(errnum));
        back_off(l);
    }
}

static void accepted(listener *l, int fd, const struct sockaddr_storage *sa)
{
    auto_err *e = NULL;
    sock *s = NULL;

    e = sock_open(fd, l->is_unix, l->is_unix ? NULL : sock_address_text(sa), &s);
    if (!e) {
        l->events->on_accept(l->arg, s);
        return;
    }
    close(fd);
    log_warn("connection lost", "error", err_message(e));
}

static void on_acceptable(void *arg, int events)
{
    listener *l = arg;

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && !l->paused && !l->closing; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof(sa);
        int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0) {
            accept_failed(l, errno);
            return;
        }
        accepted(l, fd, &sa);
    }
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return 0;
    if (sa.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&sa)->sin_port);
    return sa.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&sa)->sin6_port) : 0;
}

/* fd listens already and is consumed. */
static listener *listener_new(int fd, bool is_unix, const listener_events *ev, void *arg)
{
    listener *l = new0(listener);

    l->fd = fd;
    l->reserve = open_reserve();
    l->is_unix = is_unix;
    l->port = is_unix ? 0 : port_of(fd);
    l->events = ev;
    l->arg = arg;
    l->watch = watch_start("accept", fd, WATCH_READ, on_acceptable, l);
    return l;
}

static void listener_free(void *arg)
{
    listener *l = arg;

    free(l->path);
    free(l);
}

static err *unix_address(const char *path, struct sockaddr_un *ret_sa)
{
    size_t n = strlen(path);

    *ret_sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n == 0 || n >= sizeof(ret_sa->sun_path))
        return err_new(ERR_INVALID, "socket path \"%s\" is empty or longer than %zu bytes", path,
                       sizeof(ret_sa->sun_path) - 1);
    memcpy(ret_sa->sun_path, path, n);
    return NULL;
}

static err *new_socket(int domain, int *ret_fd)
{
    *ret_fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return *ret_fd < 0 ? err_errno(errno, "socket") : NULL;
}

/* Is somebody behind the socket at this address?  Only a refusal proves that nobody is. */
static err *probe(const struct sockaddr_un *sa, bool *ret_stale)
{
    auto_close int fd = -1;

    TRY(new_socket(AF_UNIX, &fd));
    *ret_stale = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED;
    return NULL;
}

static err *clear_path(const struct sockaddr_un *sa)
{
    const char *path = sa->sun_path;
    bool stale = false;
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? NULL : err_errno(errno, "%s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_new(ERR_CONFLICT, "%s exists and is not a socket", path);
    TRY(probe(sa, &stale));
    if (!stale)
        return err_new(ERR_CONFLICT, "%s is in use by another program", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(errno, "remove stale socket %s", path);
    return NULL;
}

/* The gid of a name or number; false when there is no such group. */
static bool group_id(const char *group, gid_t *ret_gid)
{
    struct group *found = getgrnam(group);
    uint64_t number = 0;

    if (found) {
        *ret_gid = found->gr_gid;
        return true;
    }
    if (!str_to_uint64(group, &number) || number >= (gid_t)-1)
        return false;
    *ret_gid = (gid_t)number;
    return true;
}

static err *give_to_group(const char *path, const char *group)
{
    gid_t gid = 0;

    if (str_empty(group))
        return NULL;
    if (!group_id(group, &gid)) {
        if (!str_eq(group, "docker"))
            return err_new(ERR_INVALID, "group %s does not exist", group);
        log_warn("there is no group docker: the socket is for root alone", "path", path);
        return NULL;
    }
    if (lchown(path, geteuid(), gid) < 0)
        return err_errno(errno, "give %s to group %s", path, group);
    return NULL;
}

/* Nobody may connect between bind and chmod.  The umask is the process's: this runs at start,
 * before workers create files. */
static err *bind_closed(int fd, const struct sockaddr_un *sa)
{
    mode_t before = umask(0777);
    int rc = bind(fd, (const struct sockaddr *)sa, sizeof(*sa));
    int errnum = errno;

    umask(before);
    return rc < 0 ? err_errno(errnum, "bind %s", sa->sun_path) : NULL;
}

static err *open_to_group(int fd, const char *path, const char *group)
{
    TRY(give_to_group(path, group));
    if (listen(fd, SOMAXCONN) < 0)
        return err_errno(errno, "listen on %s", path);
    if (chmod(path, 0660) < 0)
        return err_errno(errno, "chmod %s", path);
    return NULL;
}

err *listener_unix(const char *path, const char *group, const listener_events *ev, void *arg,
                   listener **ret)
{
    auto_close int fd = -1;
    struct sockaddr_un sa;
    struct stat st;
    err *e;

    TRY(unix_address(path, &sa));
    TRY(clear_path(&sa));
    TRY(new_socket(AF_UNIX, &fd));
    TRY(bind_closed(fd, &sa));
    e = open_to_group(fd, path, group);
    if (!e && lstat(path, &st) < 0)
        e = err_errno(errno, "%s", path);
    if (e) {
        unlink(path);
        return e;
    }
    *ret = listener_new(take_fd(&fd), true, ev, arg);
    (*ret)->path = xstrdup(path);
    (*ret)->dev = st.st_dev;
    (*ret)->ino = st.st_ino;
    return NULL;
}

static err *bind_tcp(const struct addrinfo *ai, const char *what, int *ret_fd)
{
    auto_close int fd = -1;
    int on = 1, off = 0;

    TRY(new_socket(ai->ai_family, &fd));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (ai->ai_family == AF_INET6) /* "" and "::" serve IPv4 too, as in Go */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
        return err_errno(errno, "listen on %s", what);
    *ret_fd = take_fd(&fd);
    return NULL;
}

/* The first address that can be bound; the error of the last when none can. */
static err *bind_any(const struct addrinfo *list, const char *what, int *ret_fd)
{
    err *e = err_new(ERR_INVALID, "%s: no address", what);

    for (const struct addrinfo *ai = list; ai && e; ai = ai->ai_next) {
        err_free(e);
        e = bind_tcp(ai, what, ret_fd);
    }
    return e;
}

err *listener_tcp(const char *host, unsigned port, const listener_events *ev, void *arg,
                  listener **ret)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC, .ai_flags = AI_PASSIVE};
    auto_free char *what = xasprintf("%s:%u", host, port);
    struct addrinfo *list = NULL;
    char service[16];
    int fd = -1, rc;
    err *e;

    snprintf(service, sizeof(service), "%u", port);
    if (port > 65535)
        return err_new(ERR_INVALID, "port %u is above 65535", port);
    rc = getaddrinfo(str_empty(host) ? "::" : host, service, &hints, &list);
    if (rc)
        return err_new(ERR_INVALID, "%s: %s", what, gai_strerror(rc));
    e = bind_any(list, what, &fd);
    freeaddrinfo(list);
    if (e && str_empty(host)) { /* a kernel without IPv6 */
        err_free(e);
        return listener_tcp("0.0.0.0", port, ev, arg, ret);
    }
    if (!e)
        *ret = listener_new(fd, false, ev, arg);
    return e;
}

err *listener_fd(int fd, const listener_events *ev, void *arg, listener **ret)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(int);
    int listening = 0, flags;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
        return err_errno(errno, "descriptor %d", fd);
    len = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return err_errno(errno, "descriptor %d", fd);
    if (!listening)
        return err_new(ERR_INVALID, "descriptor %d does not listen", fd);
    if (sa.ss_family != AF_UNIX && sa.ss_family != AF_INET && sa.ss_family != AF_INET6)
        return err_new(ERR_INVALID, "descriptor %d is neither a unix nor a TCP socket", fd);
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_errno(errno, "descriptor %d", fd);
    *ret = listener_new(fd, sa.ss_family == AF_UNIX, ev, arg);
    return NULL;
}

void listener_pause(listener *l, bool paused)
{
    l->paused = paused;
    set_watch(l);
}

unsigned listener_port(const listener *l)
{
    return l->port;
}

bool listener_is_unix(const listener *l)
{
    return l->is_unix;
}

void listener_close(listener *l, bool unlink_path)
{
    struct stat st;

    if (!l || l->closing)
        return;
    l->closing = true;
    watch_stop(l->watch);
    timer_stop(l->retry);
    if (unlink_path && l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev &&
        st.st_ino == l->ino)
        unlink(l->path);
    close(l->fd);
    if (l->reserve >= 0)
        close(l->reserve);
    loop_defer(listener_free, l); /* it may be called from on_accept */
}
