/* dns.h - names for containers on networks of clients: 127.0.0.11 inside each, served from the
 * loop.
 *
 * It knows what endpoint_names and endpoint_links say of the networks that the asking container is
 * on, and asks other servers for the rest.  Loop thread only, except dns_open. */
#ifndef BERTH_DNS_H
#define BERTH_DNS_H

#include <berth/err.h>
#include <berth/str.h>

#define DNS_ADDRESS "127.0.0.11"

/* What is open inside a container's namespace; -1: not. */
typedef struct dns_sockets {
    int udp, tcp;   /* where it is asked */
    int out4, out6; /* from where other servers are asked */
} dns_sockets;
#define DNS_SOCKETS_NONE \
    (dns_sockets)        \
    {                    \
        -1, -1, -1, -1   \
    }

/* After network_init: takes the network's hooks, so that what joins is served.  servers_of adds the
 * addresses of the servers that a container is to ask ("": none said, then the host's count). */
void dns_init(void (*servers_of)(const char *container_id, strv *ret));
void dns_done(void);

/* Blocks; any thread: opens them, and leads port 53 to them (a server of the container's own may
 * have that port). */
must_check err *dns_open(const char *netns_path, dns_sockets *ret);
void dns_sockets_close(dns_sockets *s);
/* Serves the container from now on; takes *s.  Without this, and after a restart of the daemon,
 * that begins soon after its endpoint joined. */
void dns_serve(const char *container_id, dns_sockets *s);

#endif
