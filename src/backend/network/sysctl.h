/* sysctl.h - the few kernel settings that networking needs.
 *
 * /proc/sys/net is that of the calling thread's network namespace.  Blocks; any thread. */
#ifndef BERTH_NETWORK_SYSCTL_H
#define BERTH_NETWORK_SYSCTL_H

#include <berth/err.h>
#include <stdbool.h>

must_check err *sysctl_set(const char *name,
                           const char *value); /* "ipv4/ip_forward", below /proc/sys/net */
must_check err *sysctl_is_set(const char *name, bool *ret_set); /* is it other than "0"? */
/* No IPv6 here: no address of its own making, no route that a neighbour advertises.  conf is "all"
 * or a link's name; a kernel without IPv6 is fine. */
must_check err *sysctl_no_ipv6(const char *conf);
/* IPv6 here, with what is configured alone: no route that a neighbour advertises. */
must_check err *sysctl_static_ipv6(const char *conf);

bool sysctl_has_ipv6(void); /* the kernel has it */

#endif
