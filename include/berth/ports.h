/* ports.h - ports of the host that lead to containers.
 *
 * A claim is what one container publishes.  Taking it binds a socket for every port, so that nobody
 * else gets it and a port in use is told at once; publishing makes the kernel translate.  The
 * sockets only ever see what the kernel does not translate (IPv6 to a container that has none, a
 * host without our rules): TCP that arrives there is carried over by the loop.  Loop thread only,
 * except where said. */
#ifndef BERTH_PORTS_H
#define BERTH_PORTS_H

#include <berth/arena.h>
#include <berth/err.h>
#include <berth/json.h>
#include <berth/network.h>

typedef struct port_claim port_claim;

typedef struct port_wish {
    const char *protocol; /* "tcp", "udp", "sctp" */
    unsigned port;        /* of the container */
    const char *host_ip;  /* "": any address of either family */
    unsigned first, last; /* of the host, the first free one; 0, 0: one of the kernel's range */
} port_wish;

#define PUBLISHED_PORT(F, T)           \
    F(T, STR, protocol, "Protocol", 0) \
    F(T, INT, port, "Port", 0)         \
    F(T, STR, host_ip, "HostIp", 0)    \
    F(T, INT, host_port, "HostPort", 0)
JSON_DECLARE(published_port, PUBLISHED_PORT)

/* "8000", "8000-8010", "" (0, 0): false for anything else. */
bool port_range_parse(const char *text, unsigned *ret_first, unsigned *ret_last);

/* All of them or none.  ERR_SYSTEM in dockerd's words: "Bind for 0.0.0.0:80 failed: port is already
 * allocated" for one that another container has, "failed to bind host port for ...: address already
 * in use" for anybody else's.  ep: where they lead; its addresses are copied. */
must_check err *ports_take(const endpoint *ep, const port_wish *wishes, size_t n,
                           port_claim **ret_claim);
/* What an earlier daemon took, by its own account; what cannot be bound any more is logged. */
port_claim *ports_retake(const endpoint *ep, const published_port *list, size_t n);
/* Others may have them from now on; the claim stays for ports_withdraw. */
void ports_let_go(port_claim *claim); /* NULL does nothing */
void ports_free(port_claim *claim);   /* after ports_withdraw; NULL does nothing */
/* In the order of the wishes; strings are the claim's. */
size_t ports_count(const port_claim *claim); /* of NULL: 0 */
const published_port *ports_at(const port_claim *claim, size_t i);

/* ---- for a job: these block ---- */
must_check err *ports_publish(port_claim *claim);
/* Idempotent; also after a failed ports_publish; NULL does nothing. */
must_check err *ports_withdraw(port_claim *claim);
/* After a restart: the kernel has them, the next writing of the firewall must too.  Not blocking.
 */
void ports_are_published(port_claim *claim);

#endif
