/* control.c - the daemon's connection.
 *
 * One daemon at a time: a connection that says hello replaces the one before it.  What the daemon
 * does not read at once is queued; the queue is as long as there are requests and sessions, no
 * longer. One thread. */
#include "control.h"
#include "supervise.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct outgoing {
    struct outgoing *next;
    int fd;
    size_t n;
    char data[];
} outgoing;

static source daemon_sock = {.fd = -1};   /* said hello */
static source greeting_sock = {.fd = -1}; /* connected, did not yet */
static source listener = {.fd = -1};
static int reserve_fd = -1; /* let go when descriptors run out, so that accepting cannot spin */
static outgoing *queue;
static bool state_owed;

bool control_is_connected(void)
{
    return daemon_sock.fd >= 0;
}

bool control_has_unsent(void)
{
    return queue != NULL;
}

/* ---- sending ---- */

static void drop_queue(void)
{
    for (outgoing *m; (m = queue);) {
        queue = m->next;
        if (m->fd >= 0)
            close(m->fd);
        free(m);
    }
}

static void daemon_gone(void)
{
    source_close(&daemon_sock);
    drop_queue();
    state_owed = false;
    supervise_daemon_gone();
}

static bool send_one(const char *p, size_t n, int fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(char *)p, n};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *c = &control.align;

    if (fd >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(daemon_sock.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void flush_queue(void)
{
    while (queue) {
        outgoing *m = queue;

        if (!send_one(m->data, m->n, m->fd)) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                daemon_gone();
            return;
        }
        queue = m->next;
        if (m->fd >= 0)
            close(m->fd);
        free(m);
    }
    source_want(&daemon_sock, EPOLLIN);
    supervise_check();
}

static void control_send(const buf *b, int fd)
{
    outgoing **last = &queue;
    outgoing *m;

    if (daemon_sock.fd < 0)
        return;
    if (!queue && send_one(b->data, b->len, fd))
        return;
    while (*last)
        last = &(*last)->next;
    m = xmalloc(sizeof *m + b->len);
    m->next = NULL;
    m->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    m->n = b->len;
    memcpy(m->data, b->data, b->len);
    *last = m;
    source_want(&daemon_sock, EPOLLIN | EPOLLOUT);
}

static enum wire_status status_of(const err *e)
{
    if (!e)
        return WIRE_OK;
    if (err_kind(e) == ERR_NOT_FOUND)
        return WIRE_NO_SESSION;
    return err_kind(e) == ERR_CONFLICT ? WIRE_CONFLICT : WIRE_FAILED;
}

void control_reply(uint32_t request, err *e, const session *s)
{
    auto_buf b = {0};

    if (request) {
        wire_begin(&b, WIRE_REPLY, request);
        wire_put_int(&b, status_of(e));
        wire_put_str(&b, err_message(e));
        wire_put_int(&b, s ? s->pid : 0);
        wire_put_int(&b, s ? s->started_ns : 0);
        control_send(&b, s ? s->pidfd : -1);
    }
    err_free(e);
}

void control_exit(const session *s)
{
    auto_buf b = {0};

    wire_begin(&b, WIRE_EXIT, 0);
    wire_put_str(&b, s->id);
    wire_put_int(&b, s->code);
    wire_put_int(&b, s->finished_ns);
    wire_put_int(&b, s->exit_flags);
    control_send(&b, -1);
}

void control_trouble(const char *text)
{
    auto_buf b = {0};

    wire_begin(&b, WIRE_TROUBLE, 0);
    wire_put_str(&b, text);
    control_send(&b, -1);
}

static bool is_known_exec(const session *s)
{
    return !session_is_init(s) && s->state >= SESSION_STARTING && !s->acked;
}

static void send_state(void)
{
    const session *init = supervise_sessions();
    auto_buf b = {0};
    int64_t execs = 0;

    for (const session *s = init; s; s = s->next)
        execs += is_known_exec(s);
    wire_begin(&b, WIRE_STATE, 0);
    wire_put_int(&b, WIRE_VERSION);
    wire_put_int(&b, getpid());
    wire_put_int(&b, init && init->state >= SESSION_RUNNING ? init->first_pid : 0);
    wire_put_int(&b, init ? init->started_ns : 0);
    wire_put_int(&b, execs);
    for (const session *s = init; s; s = s->next) {
        if (!is_known_exec(s))
            continue;
        wire_put_str(&b, s->id);
        wire_put_int(&b, s->first_pid);
    }
    control_send(&b, init ? init->pidfd : -1);
    for (const session *s = init; s; s = s->next) {
        if (s->announced && !s->acked)
            control_exit(s);
    }
}

void control_state(void)
{
    if (!state_owed || supervise_is_starting())
        return;
    state_owed = false;
    send_state();
}

/* ---- requests ---- */

static err *handle_spec(wire_in *in)
{
    supervise_spec spec = {0};
    err *e;

    spec.id = wire_get_str(in);
    spec.run_dir = wire_get_str(in);
    spec.exit_path = wire_get_str(in);
    spec.bundle = wire_get_str(in);
    spec.runtime = wire_get_str(in);
    spec.flags = (unsigned)wire_get_int(in);
    spec.rows = (unsigned short)wire_get_int(in);
    spec.cols = (unsigned short)wire_get_int(in);
    spec.log_driver = wire_get_str(in);
    spec.log.path = wire_get_str(in);
    spec.log.max_size = wire_get_int(in);
    spec.log.max_files = (unsigned)wire_get_int(in);
    spec.log.compress = spec.flags & WIRE_COMPRESS;
    spec.log.attrs = wire_get_str(in);
    for (int64_t n = wire_get_int(in); n > 0 && !in->bad; n--)
        strv_push(&spec.args, wire_get_str(in));
    e = in->bad ? err_new(ERR_INVALID, "malformed message") : supervise_begin(&spec);
    strv_done(&spec.args);
    return e;
}

static err *find_session(const char *id, session **ret)
{
    session *s = supervise_find(id);

    if (!s)
        return err_new(ERR_NOT_FOUND, "no such session: %s", id);
    *ret = s;
    return NULL;
}

static err *handle_exec_prepare(wire_in *in)
{
    session_opts opts = {0};

    opts.id = wire_get_str(in);
    opts.process = wire_get_str(in);
    opts.flags = (unsigned)wire_get_int(in) | WIRE_STDIN_ONCE;
    opts.rows = (unsigned short)wire_get_int(in);
    opts.cols = (unsigned short)wire_get_int(in);
    if (in->bad || !*opts.id)
        return err_new(ERR_INVALID, "malformed message");
    return supervise_exec_prepare(&opts);
}

static err *handle_exec_run(wire_in *in)
{
    session *s = NULL;

    TRY(find_session(wire_get_str(in), &s));
    return supervise_exec_run(s, in->request);
}

static err *handle_resize(wire_in *in)
{
    session *s = NULL;
    unsigned short rows;

    TRY(find_session(wire_get_str(in), &s));
    rows = (unsigned short)wire_get_int(in);
    session_resize(s, rows, (unsigned short)wire_get_int(in));
    return NULL;
}

static void handle_attach(wire_in *in, int *fd)
{
    session *s = supervise_find(wire_get_str(in));
    unsigned what = (unsigned)wire_get_int(in);
    const char end[WIRE_HEADER] = {WIRE_END, 0, 0, 0, (char)(s ? WIRE_END_DONE : WIRE_END_REFUSED)};

    if (*fd < 0)
        return; /* out of descriptors: the daemon sees its end closed */
    if (s && s->state != SESSION_ENDED)
        client_new(s, take_fd(fd), what);
    else
        (void)send(*fd, end, sizeof end, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void handle_ack(wire_in *in)
{
    session *s = supervise_find(wire_get_str(in));

    if (s)
        supervise_ack(s);
}

static void handle(wire_in *in, int *fd)
{
    err *e = NULL;

    switch (in->type) {
    case WIRE_SPEC:
        e = handle_spec(in);
        break;
    case WIRE_RUN:
        e = supervise_run(in->request, fd);
        if (!e)
            return; /* answered when the runtime is done */
        break;
    case WIRE_EXEC_PREPARE:
        e = handle_exec_prepare(in);
        break;
    case WIRE_EXEC_RUN:
        e = handle_exec_run(in);
        if (!e)
            return;
        break;
    case WIRE_RESIZE:
        e = handle_resize(in);
        break;
    case WIRE_ATTACH:
        handle_attach(in, fd);
        return;
    case WIRE_ACK:
        handle_ack(in);
        return;
    default:
        e = err_new(ERR_INVALID, "unknown message %u", in->type);
    }
    control_reply(in->request, e, NULL);
}

/* ---- receiving ---- */

/* One message, allocated to its size: 0 bytes for the end, -1 for none now. */
static ssize_t receive(int sock, char **ret, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space};
    struct cmsghdr *c;
    ssize_t n = recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

    if (n <= 0 || n > WIRE_CONTROL_MAX)
        return n > 0 ? 0 : n;
    *ret = xmalloc((size_t)n);
    part = (struct iovec){*ret, (size_t)n};
    message.msg_controllen = sizeof control.space;
    n = recvmsg(sock, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    return n;
}

static void on_daemon(void *owner, uint32_t events)
{
    auto_free char *text = NULL;
    auto_close int fd = -1;
    ssize_t n;
    wire_in in;

    (void)owner;
    if (events & EPOLLOUT)
        flush_queue();
    if (daemon_sock.fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    n = receive(daemon_sock.fd, &text, &fd);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
        return;
    if (n <= 0) {
        daemon_gone();
        return;
    }
    in = wire_open(text, (size_t)n);
    if (in.type == WIRE_HELLO)
        send_state();
    else
        handle(&in, &fd);
}

/* So that it does not take the end of its connection for our death. */
static void say_replaced(void)
{
    const char message[WIRE_HEADER] = {(char)WIRE_REPLACED};

    if (daemon_sock.fd >= 0)
        (void)send(daemon_sock.fd, message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
    source_close(&daemon_sock);
    drop_queue();
}

/* The first message of a connection that came through the socket: it becomes the daemon's. */
static void on_greeting(void *owner, uint32_t events)
{
    auto_free char *text = NULL;
    auto_close int fd = -1;
    ssize_t n = receive(greeting_sock.fd, &text, &fd);
    int sock;

    (void)owner;
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || wire_open(text, (size_t)n).type != WIRE_HELLO) {
        source_close(&greeting_sock);
        return;
    }
    sock = greeting_sock.fd;
    source_want(&greeting_sock, 0);
    greeting_sock.fd = -1;
    say_replaced();
    source_add(&daemon_sock, sock, EPOLLIN, on_daemon, NULL);
    state_owed = true;
    control_state();
}

static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.uid == 0;
}

/* Out of descriptors: take the waiting connection with the reserved one and close it. */
static void refuse_one(void)
{
    int fd;

    close(reserve_fd);
    fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_connection(void *owner, uint32_t events)
{
    int fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);

    (void)owner;
    (void)events;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            refuse_one();
        return;
    }
    if (!is_trusted(fd)) {
        close(fd);
        return;
    }
    source_close(&greeting_sock);
    source_add(&greeting_sock, fd, EPOLLIN, on_greeting, NULL);
}

void control_adopt(int fd)
{
    source_add(&daemon_sock, fd, EPOLLIN, on_daemon, NULL);
}

err *control_listen(int run_dir_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_free char *path = xasprintf("/proc/self/fd/%d/" WIRE_SOCKET_NAME, run_dir_fd);
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path, path, strlen(path)); /* short: the directory is named by descriptor */
    (void)unlinkat(run_dir_fd, WIRE_SOCKET_NAME, 0);
    umask(0077);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0)
        return err_errno(errno, "listen on " WIRE_SOCKET_NAME);
    umask(0022);
    reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    source_add(&listener, take_fd(&fd), EPOLLIN, on_connection, NULL);
    return NULL;
}

void control_close(int run_dir_fd)
{
    source_close(&listener);
    (void)unlinkat(run_dir_fd, WIRE_SOCKET_NAME, 0);
}
