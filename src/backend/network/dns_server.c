/* dns_server.c - the name server of each container: who asks, and what is known here.
 *
 * A question for a name of one of the container's networks is answered at once; every other one
 * goes on (dns_forward.c).  Both transports have bounds, so that a container that floods its own
 * server harms itself.  Loop thread only, except job_*. */
#include "dns_server.h"
#include "dns_names.h"
#include <berth/buf.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

enum {
    PER_TURN = 32,    /* datagrams, before others have their turn */
    CLIENTS_MAX = 64, /* connections of one container */
    IDLE_MS = 10000,
    UNSENT_MAX = 128 << 10,
};

struct dns_tcp {
    dns_server *server;
    sock *s;
    buf in;
    timer *idle;
    dns_tcp *prev, *next;
};

typedef struct opening { /* for a container that joined without dns_serve */
    char *container, *netns;
    dns_sockets sockets;
} opening;

static dns_server *servers;
static void (*say_servers)(const char *container_id, strv *ret);

void dns_servers_of(const char *container_id, strv *ret)
{
    if (say_servers)
        say_servers(container_id, ret);
}

static dns_server *server_of(const char *container_id)
{
    dns_server *s = NULL;

    HASH_FIND_STR(servers, container_id, s);
    return s;
}

/* ---- answers ---- */

void dns_send(const dns_asker *to, const uint8_t *p, size_t n)
{
    if (!to->tcp) {
        (void)sendto(to->server->sockets.udp, p, n, MSG_DONTWAIT | MSG_NOSIGNAL,
                     (const struct sockaddr *)&to->from, sizeof to->from);
        return;
    }
    sock_write2(to->tcp->s, (const uint8_t[]){(uint8_t)(n >> 8), (uint8_t)n}, 2, p, n);
}

static void reply(const dns_asker *to, const uint8_t *p, size_t n, const dns_query *q,
                  const dns_answer *a)
{
    static uint8_t out[DNS_MESSAGE_MAX];
    size_t room = to->tcp || !q ? sizeof out : q->udp_max;

    dns_send(to, out, dns_reply(p, n, q, a, out, room));
}

/* True when the question was one for us. */
static bool answer_address(const dns_asker *to, const uint8_t *p, size_t n, const dns_query *q)
{
    addr found[DNS_ADDRESSES_MAX];
    bool known = false;
    size_t many = names_find(to->server->container, q->name, q->type == ns_t_aaaa, found, &known);

    if (!known)
        return false;
    reply(to, p, n, q, &(dns_answer){.addresses = found, .n_addresses = many});
    return true;
}

static bool answer_pointer(const dns_asker *to, const uint8_t *p, size_t n, const dns_query *q)
{
    auto_free char *name = NULL;
    addr a;

    if (dns_reversed(q->name, &a))
        name = names_of_address(to->server->container, a);
    if (name)
        reply(to, p, n, q, &(dns_answer){.pointer = name});
    return name;
}

static void take_query(const dns_asker *from, const uint8_t *p, size_t n)
{
    dns_query q;
    dns_verdict verdict = dns_parse(p, n, &q);

    if (verdict == DNS_DROPPED)
        return;
    if (verdict == DNS_FAULTY) {
        reply(from, p, n, NULL, &(dns_answer){.rcode = ns_r_formerr});
        return;
    }
    if (q.class == ns_c_in && (q.type == ns_t_a || q.type == ns_t_aaaa) &&
        answer_address(from, p, n, &q))
        return;
    if (q.class == ns_c_in && q.type == ns_t_ptr && answer_pointer(from, p, n, &q))
        return;
    if (names_may_leave(from->server->container))
        forward_query(from, p, n, &q);
    else
        reply(from, p, n, &q, &(dns_answer){.rcode = ns_r_servfail});
}

/* ---- UDP ---- */

static void on_datagrams(void *arg, int events)
{
    static uint8_t message[DNS_MESSAGE_MAX];
    dns_server *s = arg;

    (void)events;
    for (int i = 0; i < PER_TURN; i++) {
        dns_asker from = {.server = s};
        socklen_t size = sizeof from.from;
        ssize_t n = recvfrom(s->sockets.udp, message, sizeof message, MSG_DONTWAIT,
                             (struct sockaddr *)&from.from, &size);

        if (n < 0)
            return;
        take_query(&from, message, (size_t)n);
    }
}

/* ---- TCP ---- */

dns_server *dns_tcp_server(const dns_tcp *client)
{
    return client->server;
}

static void client_free(dns_tcp *c)
{
    DL_DELETE(c->server->clients, c);
    c->server->n_clients--;
    forward_forget(c);
    timer_stop(take(c->idle));
    sock_close(c->s);
}

static void on_closed(void *arg)
{
    dns_tcp *c = arg;

    buf_done(&c->in);
    free(c);
}

static void on_idle(void *arg)
{
    client_free(arg);
}

static void on_data(void *arg, const char *p, size_t n)
{
    dns_tcp *c = arg;

    timer_again(c->idle, IDLE_MS);
    buf_add(&c->in, p, n);
    while (c->in.len >= 2) {
        const uint8_t *head = (const uint8_t *)c->in.data;
        size_t length = (size_t)head[0] << 8 | head[1];

        if (c->in.len < 2 + length)
            return;
        take_query(&(dns_asker){.server = c->server, .tcp = c}, head + 2, length);
        buf_consume(&c->in, 2 + length);
        if (sock_unsent(c->s) > UNSENT_MAX) { /* it asks and does not listen */
            client_free(c);
            return;
        }
    }
}

static void on_eof(void *arg, err *e)
{
    err_free(e);
    client_free(arg);
}

static void on_drain(void *arg)
{
    (void)arg;
}

static const sock_events client_events = {on_data, on_eof, on_drain, on_closed};

static void on_accept(void *arg, sock *s)
{
    dns_server *server = arg;
    dns_tcp *c = new0(dns_tcp);

    if (server->n_clients >= CLIENTS_MAX)
        client_free(server->clients); /* the oldest */
    c->server = server;
    c->s = s;
    DL_APPEND(server->clients, c);
    server->n_clients++;
    c->idle = timer_start("dns.idle", IDLE_MS, on_idle, c);
    sock_set(s, &client_events, c);
    sock_read(s, true);
}

static void on_error(void *arg, err *e)
{
    (void)arg;
    err_log(e, "a container's name server does not take connections any more");
}

static const listener_events tcp_events = {on_accept, on_error};

/* ---- a server's life ---- */

static void server_free(dns_server *s)
{
    HASH_DEL(servers, s);
    forward_close(s);
    while (s->clients)
        client_free(s->clients);
    watch_stop(s->udp);
    if (s->tcp)
        listener_close(s->tcp, false);
    dns_sockets_close(&s->sockets);
    free(s->container);
    free(s);
}

void dns_serve(const char *container_id, dns_sockets *sockets)
{
    dns_server *s = server_of(container_id);
    err *e;

    if (sockets->udp < 0)
        return;
    if (s)
        server_free(s);
    s = new0(dns_server);
    s->container = xstrdup(container_id);
    s->sockets = *sockets;
    s->out_host = -1;
    *sockets = DNS_SOCKETS_NONE;
    HASH_ADD_KEYPTR(hh, servers, s->container, strlen(s->container), s);
    s->udp = watch_start("dns", s->sockets.udp, WATCH_READ, on_datagrams, s);
    e = listener_fd(s->sockets.tcp, &tcp_events, s, &s->tcp);
    if (e)
        err_log(e, "a container's name server takes no connections");
    else
        s->sockets.tcp = -1; /* the listener's */
    forward_watch(s);
}

/* ---- who joins ---- */

static bool is_served(const char *container_id)
{
    for (endpoint *ep = endpoint_of(container_id, NULL); ep; ep = endpoint_of(container_id, ep))
        if (ep->joined && network_is_user(ep->net))
            return true;
    return false;
}

static err *job_open(void *arg)
{
    opening *o = arg;

    return dns_open(o->netns, &o->sockets);
}

static void on_opened(void *arg, err *e)
{
    opening *o = arg;

    if (e)
        err_log(e, "a container has no name server");
    else if (is_served(o->container) && !server_of(o->container))
        dns_serve(o->container, &o->sockets);
    dns_sockets_close(&o->sockets);
    free(o->container);
    free(o->netns);
    free(o);
}

static void on_joined(endpoint *ep, const char *netns_path)
{
    opening *o;

    if (!network_is_user(ep->net))
        return;
    names_enter(ep);
    if (server_of(ep->container))
        return;
    o = new0(opening);
    o->container = xstrdup(ep->container);
    o->netns = xstrdup(netns_path);
    o->sockets = DNS_SOCKETS_NONE;
    job_begin("dns.open", job_open, o, on_opened);
}

static void on_renamed(endpoint *ep)
{
    if (network_is_user(ep->net))
        names_enter(ep);
}

static void on_left(endpoint *ep)
{
    dns_server *s = server_of(ep->container);

    names_leave(ep);
    if (s && !is_served(ep->container))
        server_free(s);
}

void dns_init(void (*servers_of)(const char *container_id, strv *ret))
{
    static const network_hooks hooks = {on_joined, on_renamed, on_left};

    say_servers = servers_of;
    network_set_hooks(&hooks);
}

void dns_done(void)
{
    dns_server *s, *next;

    network_set_hooks(NULL);
    HASH_ITER (hh, servers, s, next)
        server_free(s);
    forward_done();
}
