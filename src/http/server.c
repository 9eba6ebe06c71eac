/* server.c - listeners, the connections' list, the route table.  Loop thread only. */
#include "conn.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

enum { FIRST_LISTEN_FD = 3, PORT_PLAIN = 2375, PORT_TLS = 2376 };

typedef struct listening {
    http_server *server;
    listener *l;
    http_tls *tls;
    struct listening *next;
} listening;

static http_server *dumped; /* the one whose connections SIGUSR1 prints */

static void dump_connections(buf *out)
{
    static const char *const states[] = {"idle",     "head",  "body",   "busy",
                                         "hijacked", "drain", "closing"};

    for (conn *c = dumped ? dumped->conns : NULL; c; c = c->next)
        buf_printf(out, "connection %s %s %s %s unsent=%zu ahead=%zu\n", sock_peer(c->sock),
                   states[c->state], c->r ? method_name(c->r->method) : "-",
                   c->r && c->r->target.path ? c->r->target.path : "-", conn_unsent(c),
                   c->ahead.len);
}

static const http_limits limits = {
    .head_ms = HTTP_HEAD_TIMEOUT_MS,
    .tls_ms = HTTP_TLS_TIMEOUT_MS,
    .json_idle_ms = HTTP_JSON_IDLE_MS,
    .stream_idle_ms = HTTP_STREAM_IDLE_MS,
    .keepalive_ms = HTTP_TCP_KEEPALIVE_MS,
    .linger_ms = 2000,
    .idle_spared_ms = 10 * 1000,
    .sweep_ms = 500,
    .connections = HTTP_CONNECTIONS_MAX,
    .heads_bytes = HTTP_HEADS_TOTAL_MAX,
};

http_server *http_server_new(const http_opts *opts)
{
    http_server *s = new0(http_server);
    auto_buf common = {0};
    static const route *const none[] = {NULL};

    s->opts = *opts;
    s->limits = limits;
    buf_printf(&common, "Server: %s\r\n", opts->server_header);
    for (const char *const *h = opts->extra_headers; h && *h; h++)
        buf_printf(&common, "%s\r\n", *h);
    s->own_lines = buf_take(&common);
    s->router = router_new(none);
    if (!dumped) {
        dumped = s;
        loop_on_dump(dump_connections);
    }
    return s;
}

void http_server_set_routes(http_server *s, const route *const *tables)
{
    router *old = s->router;

    s->router =
        router_new(tables); /* requests in flight keep their route, whose table is the caller's */
    router_free(old);
}

unsigned http_server_connections(const http_server *s)
{
    return s->n_conns;
}

static void pause_all(http_server *s, bool paused)
{
    for (listening *l = s->listening; l; l = l->next)
        listener_pause(l->l, paused);
}

static void on_accept(void *arg, sock *sk)
{
    listening *l = arg;

    conn_new(l->server, sk, l->tls);
    if (l->server->n_conns >= l->server->limits.connections)
        pause_all(l->server, true);
}

static void on_listener_error(void *arg, err *e)
{
    (void)arg;
    err_log(e, "a listener is dead");
}

static const listener_events events = {on_accept, on_listener_error};

static void closed_check(http_server *s)
{
    if (!s->closing || s->n_conns || !s->closed)
        return;
    timer_stop(take(s->grace));
    loop_defer(s->closed, s->closed_arg);
    s->closed = NULL;
}

void conn_gone(http_server *s)
{
    if (s->n_conns-- >= s->limits.connections && !s->closing)
        pause_all(s, false);
    closed_check(s);
}

/* ---- addresses ---- */

static listening *listening_new(http_server *s, http_tls *tls)
{
    listening *l = new0(listening);

    l->server = s;
    l->tls = tls;
    return l;
}

static err *listening_keep(http_server *s, listening *l, err *e)
{
    if (e)
        free(l);
    else
        LL_APPEND(s->listening, l);
    return e;
}

static err *listen_unix(http_server *s, const char *path, const char *group)
{
    listening *l = listening_new(s, NULL);

    return listening_keep(s, l, listener_unix(path, group, &events, l, &l->l));
}

/* "host:port", "[v6]:port", ":port", "host", "" */
static err *host_port_split(const char *text, unsigned otherwise, char **ret_host,
                            unsigned *ret_port)
{
    const char *bracket = *text == '[' ? strchr(text, ']') : NULL;
    const char *colon = strrchr(bracket ? bracket : text, ':');
    uint64_t port = otherwise;

    if ((*text == '[' && !bracket) || strpbrk(text, "/@?# "))
        return err_new(ERR_INVALID,
                       "invalid bind address (%s): should not contain a path or user information",
                       text);
    if (colon && colon[1] && (!str_to_uint64(colon + 1, &port) || port > 65535))
        return err_new(ERR_INVALID, "invalid bind address (%s): invalid port", text);
    if (bracket)
        *ret_host = xstrndup(text + 1, (size_t)(bracket - text - 1));
    else
        *ret_host = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
    *ret_port = (unsigned)port;
    return NULL;
}

static err *listen_tcp(http_server *s, const char *text, http_tls *tls)
{
    listening *l;
    auto_free char *host = NULL;
    unsigned port = 0;

    TRY(host_port_split(text, tls ? PORT_TLS : PORT_PLAIN, &host, &port));
    l = listening_new(s, tls);
    return listening_keep(s, l, listener_tcp(*host ? host : "127.0.0.1", port, &events, l, &l->l));
}

static err *listen_fd(http_server *s, int fd, http_tls *tls)
{
    listening *l = listening_new(s, tls);
    err *e = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? err_errno(errno, "descriptor %d", fd)
                                                : listener_fd(fd, &events, l, &l->l);

    if (!e && listener_is_unix(l->l))
        l->tls = NULL;
    return listening_keep(s, l, e);
}

/* Socket activation: descriptors from 3, named by LISTEN_PID and LISTEN_FDS. */
static err *listen_activated(http_server *s, const char *which, http_tls *tls)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    bool all = !*which || str_eq(which, "*");
    uint64_t n = 0, one = 0;
    int64_t owner = 0;

    if (!fds || !str_to_uint64(fds, &n) || !n || n > 1024 ||
        (pid && (!str_to_int64(pid, &owner) || owner != getpid())))
        return err_new(
            ERR_INVALID,
            "no sockets found via socket activation: make sure the service was started by systemd");
    if (!all && !str_to_uint64(which, &one))
        return err_new(ERR_INVALID, "failed to parse systemd fd address: should be a number: %s",
                       which);
    if (!all && (one < FIRST_LISTEN_FD || one >= FIRST_LISTEN_FD + n))
        return err_new(
            ERR_INVALID,
            "no sockets found via socket activation: make sure the service was started by systemd");
    for (int fd = FIRST_LISTEN_FD; fd < FIRST_LISTEN_FD + (int)n; fd++) {
        if (all || fd == (int)one)
            TRY(listen_fd(s, fd, tls));
        else
            close(fd);
    }
    return NULL;
}

err *http_server_listen(http_server *s, const char *address, const char *group, http_tls *tls)
{
    const char *rest = strstr(address, "://");

    if (!rest || rest == address)
        return err_new(ERR_INVALID, "bad format %s, expected PROTO://ADDR", address);
    rest += 3;
    if (str_starts(address, "unix://"))
        return listen_unix(s, rest, group);
    if (str_starts(address, "tcp://"))
        return listen_tcp(s, rest, tls);
    if (str_starts(address, "fd://"))
        return listen_activated(s, rest, tls);
    return err_new(ERR_INVALID, "invalid protocol format: \"%.*s\"", (int)(rest - 3 - address),
                   address);
}

void http_server_pause(http_server *s, bool paused)
{
    pause_all(s, paused);
}

unsigned http_server_port(const http_server *s)
{
    for (const listening *l = s->listening; l; l = l->next)
        if (listener_port(l->l))
            return listener_port(l->l);
    return 0;
}

/* ---- the end ---- */

static void on_grace_over(void *arg)
{
    http_server *s = arg;
    conn *c, *next;

    DL_FOREACH_SAFE (s->conns, c, next)
        conn_close(c);
}

static void close_listeners(http_server *s)
{
    listening *l, *next;

    LL_FOREACH_SAFE (s->listening, l, next) {
        listener_close(l->l, true);
        free(l);
    }
    s->listening = NULL;
}

void http_server_close(http_server *s, unsigned grace_ms, void (*done)(void *arg), void *arg)
{
    conn *c, *next;

    s->closing = true;
    s->closed = done;
    s->closed_arg = arg;
    close_listeners(s);
    DL_FOREACH_SAFE (s->conns, c, next) {
        if (c->state == CONN_IDLE && conn_unsent(c))
            conn_close_gently(c);
        else if (c->state == CONN_IDLE || c->state == CONN_HEAD || (c->r && c->r->stream))
            conn_close(c);
    }
    s->grace = timer_start("http.grace", grace_ms, on_grace_over, s);
    closed_check(s);
}

void http_server_free(http_server *s)
{
    if (!s)
        return;
    close_listeners(s);
    timer_stop(s->sweep);
    timer_stop(s->grace);
    router_free(s->router);
    if (dumped == s)
        dumped = NULL;
    free(s->own_lines);
    buf_done(&s->common);
    free(s);
}
