/* dns_forward.c - questions that other servers are asked.
 *
 * Each has an id of chance and a socket of its container, so the container's own network, with its
 * rules, is the way; servers on the host's loopback are asked from the host, and so are those that
 * are asked by TCP.  One server after the other gets its time; at the end of them, or of what may
 * be asked at once, the answer is SERVFAIL.  Loop thread only, except job_*. */
#include "dns_server.h"
#include <arpa/inet.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/timer.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ASKED_MAX = 1024,       /* of all containers */
    ASKED_MAX_OF_ONE = 256, /* so that none takes all */
    SERVERS_MAX = 3,
    SERVER_MS = 2000,
    PER_TURN = 32,
    LOOK_AGAIN_MS = 2000, /* at the host's file */
    PORT = 53,
};
#define HOST_FILE "/etc/resolv.conf"

typedef struct asking {
    unsigned id; /* what the servers see */
    dns_asker to;
    dns_query q;
    uint8_t *query;
    size_t n;
    strv servers;
    size_t next;
    struct sockaddr_storage at; /* the one that is being asked */
    socklen_t at_size;
    timer *timer;
    int dialing; /* by TCP: the socket until it is connected; -1 */
    watch *watch;
    sock *stream;
    buf heard;
    UT_hash_handle hh;
} asking;

static unsigned n_asked;

/* ---- the host's servers ---- */

static struct {
    strv list;
    struct timespec changed;
    uint64_t looked_ms;
    bool reading, read_once;
} host;

typedef struct host_reading {
    struct timespec changed;
    strv list;
    bool same;
} host_reading;

static void take_servers(const char *text, strv *ret)
{
    auto_strv lines = {0};

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *p = lines.v[i] + strspn(lines.v[i], " \t");
        auto_free char *server = NULL;

        if (!str_starts(p, "nameserver") || !strchr(" \t", p[strlen("nameserver")]))
            continue;
        p += strlen("nameserver");
        p += strspn(p, " \t");
        server = xstrndup(p, strcspn(p, " \t\r"));
        strv_push(ret, server);
    }
}

static err *job_read_host(void *arg)
{
    host_reading *r = arg;
    auto_free char *text = NULL;
    struct stat st;

    if (!stat(HOST_FILE, &st)) {
        r->same =
            r->changed.tv_sec == st.st_mtim.tv_sec && r->changed.tv_nsec == st.st_mtim.tv_nsec;
        r->changed = st.st_mtim;
    }
    if (r->same)
        return NULL;
    TRY(netfiles_host_resolv(true, &text));
    take_servers(text, &r->list);
    return NULL;
}

static void on_host_read(void *arg, err *e)
{
    host_reading *r = arg;

    host.reading = false;
    if (e) {
        err_log(e, "the host's name servers are not known");
    } else if (!r->same) {
        strv_done(&host.list);
        host.list = r->list;
        r->list = (strv){0};
        host.changed = r->changed;
    }
    strv_done(&r->list);
    free(r);
}

static void look_at_host(void)
{
    host_reading *r;

    if (host.reading || (host.read_once && loop_now_ms() - host.looked_ms < LOOK_AGAIN_MS))
        return;
    host.reading = host.read_once = true;
    host.looked_ms = loop_now_ms();
    r = new0(host_reading);
    r->changed = host.changed;
    job_begin("dns.host", job_read_host, r, on_host_read);
}

void forward_host_servers(strv *ret)
{
    look_at_host();
    for (size_t i = 0; i < host.list.n; i++)
        strv_push(ret, host.list.v[i]);
}

void forward_done(void)
{
    strv_done(&host.list);
    memset(&host, 0, sizeof host);
}

/* ---- one question ---- */

static void asking_free(asking *a)
{
    HASH_DEL(a->to.server->asked, a);
    a->to.server->n_asked--;
    n_asked--;
    timer_stop(a->timer);
    watch_stop(a->watch);
    mem_closep(&a->dialing);
    if (a->stream)
        sock_close(a->stream);
    buf_done(&a->heard);
    strv_done(&a->servers);
    free(a->query);
    free(a);
}

static void answer(asking *a, const uint8_t *p, size_t n)
{
    auto_free uint8_t *own = xmemdup(p, n);

    memcpy(own, a->query, 2); /* the id that the client knows */
    dns_send(&a->to, own, n);
    asking_free(a);
}

static void give_up(asking *a)
{
    static uint8_t out[DNS_MESSAGE_MAX];

    dns_send(
        &a->to, out,
        dns_reply(a->query, a->n, &a->q, &(dns_answer){.rcode = ns_r_servfail}, out, sizeof out));
    asking_free(a);
}

static void ask_next(asking *a);

static bool set_address(const char *text, struct sockaddr_storage *at, socklen_t *ret_n)
{
    struct sockaddr_in *four = (struct sockaddr_in *)at;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)at;

    memset(at, 0, sizeof *at);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(PORT);
        *ret_n = sizeof *four;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1)
        return false;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(PORT);
    *ret_n = sizeof *six;
    return true;
}

/* ---- by TCP: when the client came by TCP, as a datagram was too small for it ---- */

static void on_stream_data(void *arg, const char *p, size_t n)
{
    asking *a = arg;
    const uint8_t *head;
    size_t length;

    buf_add(&a->heard, p, n);
    if (a->heard.len < 2)
        return;
    head = (const uint8_t *)a->heard.data;
    length = (size_t)head[0] << 8 | head[1];
    if (a->heard.len >= 2 + length && length >= DNS_HEADER)
        answer(a, head + 2, length);
}

static void on_stream_eof(void *arg, err *e)
{
    err_free(e);
    ask_next(arg);
}

static void on_stream_drain(void *arg)
{
    (void)arg;
}

static const sock_events stream_events = {on_stream_data, on_stream_eof, on_stream_drain,
                                          on_stream_drain};

static void on_dialed(void *arg, int what)
{
    asking *a = arg;
    int failed = 0;
    socklen_t size = sizeof failed;
    uint8_t length[2] = {(uint8_t)(a->n >> 8), (uint8_t)a->n};
    err *e = NULL;

    (void)what;
    watch_stop(take(a->watch));
    getsockopt(a->dialing, SOL_SOCKET, SO_ERROR, &failed, &size);
    if (!failed)
        e = sock_adopt(a->dialing, &a->stream);
    if (failed || e) {
        err_free(e);
        ask_next(a);
        return;
    }
    a->dialing = -1;
    sock_set(a->stream, &stream_events, a);
    sock_read(a->stream, true);
    sock_write2(a->stream, length, 2, a->query, a->n);
}

static bool dial(asking *a)
{
    mem_closep(&a->dialing);
    a->dialing = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->dialing < 0 ||
        (connect(a->dialing, (struct sockaddr *)&a->at, a->at_size) < 0 && errno != EINPROGRESS))
        return false;
    a->watch = watch_start("dns.dial", a->dialing, WATCH_WRITE, on_dialed, a);
    return true;
}

/* ---- by datagram ---- */

static void on_answers(dns_server *s, int fd);

static void on_host_answers(void *arg, int events)
{
    (void)events;
    on_answers(arg, ((dns_server *)arg)->out_host);
}

static void on_answers4(void *arg, int events)
{
    (void)events;
    on_answers(arg, ((dns_server *)arg)->sockets.out4);
}

static void on_answers6(void *arg, int events)
{
    (void)events;
    on_answers(arg, ((dns_server *)arg)->sockets.out6);
}

static bool is_same_place(const struct sockaddr_storage *x, const struct sockaddr_storage *y)
{
    const struct sockaddr_in *a = (const void *)x, *b = (const void *)y;
    const struct sockaddr_in6 *c = (const void *)x, *d = (const void *)y;

    if (x->ss_family != y->ss_family)
        return false;
    return x->ss_family == AF_INET
               ? a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr
               : c->sin6_port == d->sin6_port && !memcmp(&c->sin6_addr, &d->sin6_addr, 16);
}

/* SERVFAIL and REFUSED of one server are not the last word while there is another. */
static void take_answer(asking *a, const uint8_t *p, size_t n)
{
    int rcode = p[3] & 0x0f;

    if ((rcode == ns_r_servfail || rcode == ns_r_refused) && a->next < a->servers.n)
        ask_next(a);
    else
        answer(a, p, n);
}

static void on_answers(dns_server *s, int fd)
{
    static uint8_t message[DNS_MESSAGE_MAX];

    for (int i = 0; i < PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof from;
        ssize_t n =
            recvfrom(fd, message, sizeof message, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
        unsigned id = n >= 2 ? (unsigned)message[0] << 8 | message[1] : 0;
        asking *a = NULL;

        if (n < 0)
            return;
        if (n >= DNS_HEADER)
            HASH_FIND(hh, s->asked, &id, sizeof id, a);
        if (a && !a->stream && is_same_place(&from, &a->at) &&
            dns_answers(message, (size_t)n, a->query, a->n))
            take_answer(a, message, (size_t)n);
    }
}

static int host_socket(dns_server *s)
{
    if (s->out_host < 0) {
        s->out_host = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->out_host >= 0)
            s->host = watch_start("dns.host", s->out_host, WATCH_READ, on_host_answers, s);
    }
    return s->out_host;
}

static bool send_datagram(asking *a, const char *server)
{
    dns_server *s = a->to.server;
    auto_free uint8_t *own = xmemdup(a->query, a->n);
    int fd = str_starts(server, "127.")   ? host_socket(s)
             : a->at.ss_family == AF_INET ? s->sockets.out4
                                          : s->sockets.out6;

    own[0] = (uint8_t)(a->id >> 8);
    own[1] = (uint8_t)a->id;
    return fd >= 0 && sendto(fd, own, a->n, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&a->at,
                             a->at_size) >= 0;
}

/* ---- one server after the other ---- */

static void on_late(void *arg)
{
    ask_next(arg);
}

static void ask_next(asking *a)
{
    watch_stop(take(a->watch));
    if (a->stream)
        sock_close(take(a->stream));
    buf_truncate(&a->heard, 0);
    while (a->next < a->servers.n && a->next < SERVERS_MAX) {
        const char *server = a->servers.v[a->next++];

        if (!set_address(server, &a->at, &a->at_size))
            continue;
        if (a->to.tcp ? !dial(a) : !send_datagram(a, server))
            continue;
        timer_again(a->timer, SERVER_MS);
        return;
    }
    give_up(a);
}

static bool choose_id(const dns_server *s, unsigned *ret_id)
{
    for (int tries = 0; tries < 16; tries++) {
        uint16_t id;
        asking *a = NULL;

        if (getrandom(&id, sizeof id, 0) != sizeof id)
            return false;
        *ret_id = id;
        HASH_FIND(hh, s->asked, ret_id, sizeof *ret_id, a);
        if (!a)
            return true;
    }
    return false;
}

void forward_query(const dns_asker *to, const uint8_t *p, size_t n, const dns_query *q)
{
    static uint8_t out[DNS_UDP_MAX + NS_MAXDNAME];
    dns_server *s = to->server;
    unsigned id = 0;
    asking *a;

    if (n_asked >= ASKED_MAX || s->n_asked >= ASKED_MAX_OF_ONE || !choose_id(s, &id)) {
        dns_send(to, out,
                 dns_reply(p, n, q, &(dns_answer){.rcode = ns_r_servfail}, out, sizeof out));
        return;
    }
    a = new0(asking);
    a->id = id;
    a->to = *to;
    a->q = *q;
    a->query = xmemdup(p, n);
    a->n = n;
    a->dialing = -1;
    dns_servers_of(s->container, &a->servers);
    if (!a->servers.n)
        forward_host_servers(&a->servers);
    HASH_ADD(hh, s->asked, id, sizeof a->id, a);
    s->n_asked++;
    n_asked++;
    a->timer = timer_start("dns.ask", SERVER_MS, on_late, a);
    ask_next(a);
}

void forward_watch(dns_server *s)
{
    look_at_host();
    if (s->sockets.out4 >= 0)
        s->out4 = watch_start("dns.out", s->sockets.out4, WATCH_READ, on_answers4, s);
    if (s->sockets.out6 >= 0)
        s->out6 = watch_start("dns.out", s->sockets.out6, WATCH_READ, on_answers6, s);
}

void forward_close(dns_server *s)
{
    asking *a, *next;

    HASH_ITER (hh, s->asked, a, next)
        asking_free(a);
    watch_stop(s->out4);
    watch_stop(s->out6);
    watch_stop(s->host);
    mem_closep(&s->out_host);
}

void forward_forget(const dns_tcp *client)
{
    dns_server *s = dns_tcp_server(client);
    asking *a, *next;

    HASH_ITER (hh, s->asked, a, next)
        if (a->to.tcp == client)
            asking_free(a);
}
