/* dns_sockets.c - the sockets of a container's name server, opened inside its namespace.
 *
 * They have ports of chance and port 53 is led there, for UDP and TCP, to 127.0.0.11 alone: a name
 * server of the container's own may have port 53 on every other address.  Blocks; any thread. */
#include "firewall.h"
#include <arpa/inet.h>
#include <berth/dns.h>
#include <berth/mem.h>
#include <berth/netns.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, RECEIVE_BUFFER = 256 << 10 };

/* An address of the loopback and a port of chance. */
static err *open_one(int type, int *ret_fd, unsigned *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    auto_close int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int size = RECEIVE_BUFFER;

    inet_pton(AF_INET, DNS_ADDRESS, &at.sin_addr);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
        return err_errno(errno, "open the name server of a container");
    if (type == SOCK_DGRAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    *ret_port = ntohs(at.sin_port);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static err *lead_there(unsigned udp, unsigned tcp)
{
    auto_free char *text =
        xasprintf("add table ip berth_dns\n"
                  "delete table ip berth_dns\n"
                  "table ip berth_dns {\n"
                  "  chain output {\n"
                  "    type nat hook output priority -100;\n"
                  "    ip daddr " DNS_ADDRESS " udp dport 53 dnat to " DNS_ADDRESS ":%u\n"
                  "    ip daddr " DNS_ADDRESS " tcp dport 53 dnat to " DNS_ADDRESS ":%u\n"
                  "  }\n"
                  "}\n",
                  udp, tcp);

    return firewall_transaction(text);
}

static err *open_here(void *arg)
{
    dns_sockets *s = arg;
    unsigned udp, tcp;

    TRY(open_one(SOCK_DGRAM, &s->udp, &udp));
    TRY(open_one(SOCK_STREAM, &s->tcp, &tcp));
    s->out4 = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->out6 = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return lead_there(udp, tcp);
}

err *dns_open(const char *netns_path, dns_sockets *ret)
{
    dns_sockets s = DNS_SOCKETS_NONE;
    err *e = netns_run(netns_path, open_here, &s);

    if (e)
        dns_sockets_close(&s);
    *ret = s;
    return err_wrap(e, "name server of a container");
}

void dns_sockets_close(dns_sockets *s)
{
    mem_closep(&s->udp);
    mem_closep(&s->tcp);
    mem_closep(&s->out4);
    mem_closep(&s->out6);
    *s = DNS_SOCKETS_NONE;
}
