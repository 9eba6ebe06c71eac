/* ports.h - what the files behind berth/ports.h share with the firewall. */
#ifndef BERTH_NETWORK_PORTS_H
#define BERTH_NETWORK_PORTS_H

#include <berth/ports.h>
#include <stdint.h>

/* One element of the firewall's maps. */
typedef struct port_element {
    uint8_t protocol; /* IPPROTO_TCP, ... */
    uint32_t host_ip; /* 0: any address of the host */
    uint16_t host_port;
    uint32_t ip;
    uint16_t port;
    const port_claim *owner;
} port_element;

/* bridge.c: under its lock.  The elements are copied. */
must_check err *bridge_publish(const char *bridge, const port_element *elements, size_t n);
must_check err *bridge_withdraw(const port_claim *owner);
void bridge_has_published(const port_element *elements, size_t n);

/* forward.c: connections that reach fd, a listening socket, are carried to ip:port.  fd is
 * consumed.  NULL with *ret_e set when it could not be watched. */
typedef struct forward forward;
must_check err *forward_new(int fd, uint32_t ip, uint16_t port, forward **ret_f);
void forward_free(forward *f); /* those under way are cut */

#endif
