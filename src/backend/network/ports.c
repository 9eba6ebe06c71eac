/* ports.c - which ports of the host are taken, and by whom.
 *
 * Loop thread only, but for what hands the elements to the firewall. */
#include "addr.h"
#include "ports.h"
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

JSON_DEFINE(published_port, PUBLISHED_PORT)

enum { BACKLOG = 128, EPHEMERAL_FIRST = 32768, EPHEMERAL_LAST = 60999 };

typedef struct binding {
    published_port shown; /* strings below */
    int protocol;
    addr host_ip;
    int fd;       /* udp, sctp; -1: let go, or tcp */
    forward *tcp; /* holds the socket of TCP */
    bool held;
} binding;

struct port_claim {
    char *name, *endpoint_id, *bridge;
    uint32_t ip;
    char ip_text[ADDR_TEXT];
    binding *v;
    size_t n;
    port_claim *prev, *next;
};

static port_claim *claims;

bool port_range_parse(const char *text, unsigned *ret_first, unsigned *ret_last)
{
    auto_free char *copy = xstrdup(text ? text : "");
    char *dash = strchr(copy, '-');
    uint64_t first = 0, last = 0;

    if (dash)
        *dash = '\0';
    if (*copy && (!str_to_uint64(copy, &first) || first > UINT16_MAX))
        return false;
    last = first;
    if (dash &&
        (!*copy || !str_to_uint64(dash + 1, &last) || last > UINT16_MAX || last < first || !first))
        return false;
    *ret_first = (unsigned)first;
    *ret_last = (unsigned)last;
    return true;
}

static int protocol_number(const char *name)
{
    return str_eq(name, "udp") ? IPPROTO_UDP : str_eq(name, "sctp") ? IPPROTO_SCTP : IPPROTO_TCP;
}

/* "0.0.0.0:80", "[::]:80" */
static char *host_text(addr ip, unsigned port)
{
    char text[ADDR_TEXT];

    addr_format(ip, text);
    return addr_is_v6(ip) ? xasprintf("[%s]:%u", text, port) : xasprintf("%s:%u", text, port);
}

/* ---- one socket ---- */

static bool is_any(addr a)
{
    return a.n == 0;
}

/* A container of ours has it: the same address, or one of the two is every address. */
static bool is_ours(int protocol, addr ip, unsigned port)
{
    const port_claim *k;

    DL_FOREACH (claims, k)
        for (size_t i = 0; i < k->n; i++) {
            const binding *b = &k->v[i];

            if (b->held && b->protocol == protocol && b->shown.host_port == port &&
                b->host_ip.bits == ip.bits &&
                (is_any(b->host_ip) || is_any(ip) || addr_eq(b->host_ip, ip)))
                return true;
        }
    return false;
}

static socklen_t sockaddr_of(addr ip, unsigned port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    char text[ADDR_TEXT];

    memset(ret, 0, sizeof(*ret));
    addr_format(ip, text);
    if (addr_is_v6(ip)) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        inet_pton(AF_INET6, text, &v6->sin6_addr);
        return sizeof(*v6);
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, text, &v4->sin_addr);
    return sizeof(*v4);
}

/* The bound socket, listening where it is TCP; -1 with errno. */
static int bind_socket(int protocol, addr ip, unsigned port)
{
    int kind = protocol == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM, on = 1;
    auto_close int fd =
        socket(addr_is_v6(ip) ? AF_INET6 : AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    struct sockaddr_storage at;
    socklen_t n = sockaddr_of(ip, port, &at);

    if (fd < 0)
        return -1;
    if (addr_is_v6(ip))
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (protocol != IPPROTO_UDP)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, n) < 0 ||
        (protocol != IPPROTO_UDP && listen(fd, BACKLOG) < 0))
        return -1;
    return take_fd(&fd);
}

static err *allocated(const port_claim *k, addr ip, unsigned port)
{
    auto_free char *host = host_text(ip, port);

    return err_new(ERR_SYSTEM,
                   "driver failed programming external connectivity on endpoint %s (%s): Bind for "
                   "%s failed: port is already allocated",
                   k->name, k->endpoint_id, host);
}

static err *not_bound(const port_claim *k, const port_wish *w, addr ip, unsigned port, int errnum)
{
    auto_free char *host = host_text(ip, port);
    auto_free char *why = xstrdup(strerror(errnum));

    *why = (char)(*why | 0x20); /* as Go has them: "address already in use" */
    return err_new(ERR_SYSTEM,
                   "driver failed programming external connectivity on endpoint %s (%s): failed to "
                   "bind host port for %s:%s:%u/%s: %s",
                   k->name, k->endpoint_id, host, k->ip_text, w->port, w->protocol, why);
}

static err *hold(port_claim *k, const port_wish *w, addr ip, unsigned port)
{
    int protocol = protocol_number(w->protocol);
    char text[ADDR_TEXT];
    binding b = {.protocol = protocol, .host_ip = ip, .fd = -1, .held = true};
    auto_close int fd = -1;

    if (is_ours(protocol, ip, port))
        return allocated(k, ip, port);
    fd = bind_socket(protocol, ip, port);
    if (fd < 0)
        return not_bound(k, w, ip, port, errno);
    if (protocol == IPPROTO_TCP) {
        TRY(forward_new(fd, k->ip, (uint16_t)w->port, &b.tcp));
        fd = -1;
    } else {
        b.fd = take_fd(&fd);
    }
    addr_format(ip, text);
    b.shown = (published_port){xstrdup(w->protocol), w->port, xstrdup(text), port};
    k->v = xrealloc(k->v, (k->n + 1) * sizeof(*k->v));
    k->v[k->n++] = b;
    return NULL;
}

static void unhold(binding *b)
{
    b->held = false;
    forward_free(take(b->tcp));
    mem_closep(&b->fd);
    b->fd = -1;
}

/* ---- one wish: one port of one or two families ---- */

static bool host_has_ipv6(void)
{
    auto_close int fd = open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", O_RDONLY | O_CLOEXEC);
    char c = '1';

    return fd >= 0 && read(fd, &c, 1) == 1 && c == '0';
}

static size_t families_of(const port_wish *w, addr ret_ips[2])
{
    size_t n = 0;

    if (!str_empty(w->host_ip))
        return addr_parse(w->host_ip, &ret_ips[0]) ? 1 : 0;
    addr_parse("0.0.0.0", &ret_ips[n++]);
    if (str_eq(w->protocol, "tcp") && host_has_ipv6()) /* nobody would carry datagrams over */
        addr_parse("::", &ret_ips[n++]);
    return n;
}

/* The same port for every family, or none of them. */
static err *hold_port(port_claim *k, const port_wish *w, const addr *ips, size_t n, unsigned port)
{
    size_t before = k->n;

    for (size_t i = 0; i < n; i++) {
        err *e = hold(k, w, ips[i], port);

        if (!e)
            continue;
        while (k->n > before) {
            binding *b = &k->v[--k->n];

            unhold(b);
            free(b->shown.protocol);
            free(b->shown.host_ip);
        }
        return e;
    }
    return NULL;
}

static err *hold_wish(port_claim *k, const port_wish *w)
{
    static unsigned next = EPHEMERAL_FIRST;
    unsigned first = w->first ? w->first : EPHEMERAL_FIRST;
    unsigned last = w->first ? w->last : EPHEMERAL_LAST;
    addr ips[2];
    size_t n = families_of(w, ips);
    err *e = NULL;

    if (!n)
        return err_new(ERR_INVALID, "invalid IP address: %s", w->host_ip);
    if (n == 1 && addr_is_v6(ips[0]) && !str_eq(w->protocol, "tcp"))
        return err_new(ERR_UNSUPPORTED,
                       "publishing %s on %s is not supported: only tcp is "
                       "carried from IPv6 to a container",
                       w->protocol, w->host_ip);
    for (unsigned tried = 0; tried <= last - first; tried++) {
        unsigned port = w->first ? first + tried : next;

        if (!w->first)
            next = next == EPHEMERAL_LAST ? EPHEMERAL_FIRST : next + 1;
        err_free(e);
        e = hold_port(k, w, ips, n, port);
        if (!e)
            return NULL;
    }
    return e;
}

/* ---- claims ---- */

static port_claim *claim_new(const endpoint *ep)
{
    port_claim *k = new0(port_claim);
    addr ip = {0};

    addr_parse(endpoint_ip(ep), &ip);
    k->ip = (uint32_t)ip.n;
    snprintf(k->ip_text, sizeof(k->ip_text), "%s", endpoint_ip(ep));
    k->name = xstrdup(endpoint_container_name(ep));
    k->endpoint_id = xstrdup(endpoint_id(ep));
    k->bridge = xstrdup(endpoint_network(ep)->bridge.name);
    DL_APPEND(claims, k);
    return k;
}

err *ports_take(const endpoint *ep, const port_wish *wishes, size_t n, port_claim **ret_claim)
{
    port_claim *k = claim_new(ep);

    for (size_t i = 0; i < n; i++) {
        err *e = hold_wish(k, &wishes[i]);

        if (e) {
            ports_free(k);
            return e;
        }
    }
    *ret_claim = k;
    return NULL;
}

port_claim *ports_retake(const endpoint *ep, const published_port *list, size_t n)
{
    port_claim *k = claim_new(ep);

    for (size_t i = 0; i < n; i++) {
        port_wish w = {list[i].protocol, (unsigned)list[i].port, list[i].host_ip,
                       (unsigned)list[i].host_port, (unsigned)list[i].host_port};

        err_log(hold_wish(k, &w), "a published port could not be held again");
    }
    return k;
}

void ports_let_go(port_claim *k)
{
    for (size_t i = 0; k && i < k->n; i++)
        unhold(&k->v[i]);
}

void ports_free(port_claim *k)
{
    if (!k)
        return;
    ports_let_go(k);
    DL_DELETE(claims, k);
    for (size_t i = 0; i < k->n; i++) {
        free(k->v[i].shown.protocol);
        free(k->v[i].shown.host_ip);
    }
    free(k->v);
    free(k->name);
    free(k->endpoint_id);
    free(k->bridge);
    free(k);
}

size_t ports_count(const port_claim *k)
{
    return k ? k->n : 0;
}

const published_port *ports_at(const port_claim *k, size_t i)
{
    return &k->v[i].shown;
}

/* ---- the kernel's part ---- */

static size_t elements_of(const port_claim *k, port_element *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < k->n; i++) {
        const binding *b = &k->v[i];

        if (!addr_is_v6(b->host_ip))
            ret[n++] = (port_element){.protocol = (uint8_t)b->protocol,
                                      .host_ip = (uint32_t)b->host_ip.n,
                                      .host_port = (uint16_t)b->shown.host_port,
                                      .ip = k->ip,
                                      .port = (uint16_t)b->shown.port,
                                      .owner = k};
    }
    return n;
}

err *ports_publish(port_claim *k)
{
    auto_free port_element *elements = xcalloc(k->n + 1, sizeof(*elements));
    size_t n = elements_of(k, elements);

    return bridge_publish(k->bridge, elements, n);
}

err *ports_withdraw(port_claim *k)
{
    return k ? bridge_withdraw(k) : NULL;
}

void ports_are_published(port_claim *k)
{
    auto_free port_element *elements = xcalloc(k->n + 1, sizeof(*elements));
    size_t n = elements_of(k, elements);

    bridge_has_published(elements, n);
}
