/* wire_link.h - one end of a SEQPACKET connection to a monitor: messages, queued when they must be.
 */
#ifndef RUNTIME_WIRE_LINK_H
#define RUNTIME_WIRE_LINK_H

#include <berth/buf.h>
#include <berth/monitor_wire.h>
#include <berth/watch.h>
#include <stdbool.h>

typedef struct wire_message wire_message;

typedef struct wire_link {
    int fd; /* -1: closed */
    watch *watch;
    wire_message *queue; /* what the kernel did not take yet */
} wire_link;

void wire_link_open(wire_link *l, int fd, void (*ready)(void *arg, int events), void *arg);
/* fd: sent along, -1 for none; stays the caller's. */
void wire_link_send(wire_link *l, const buf *message, int fd);
void wire_link_writable(wire_link *l);
/* One message: 1 and *ret (caller frees), 0 for none now, -1 for the end.  *ret_fd is -1 or the
 * caller's. */
int wire_link_receive(wire_link *l, char **ret, size_t *ret_n, int *ret_fd);
void wire_link_close(wire_link *l);

#endif
