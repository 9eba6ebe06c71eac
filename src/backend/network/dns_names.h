/* dns_names.h - which addresses a name has for one container, and which name an address has. */
#ifndef BERTH_NETWORK_DNS_NAMES_H
#define BERTH_NETWORK_DNS_NAMES_H

#include "private.h"

enum { DNS_ADDRESSES_MAX = 256 };

void names_enter(endpoint *ep); /* it joined, or has other names */
void names_leave(const endpoint *ep);
/* name in lower case.  All that it is on the networks that the container is on, of one family, in
 * an order of chance; *ret_known: there is such a name, of whatever family. */
size_t names_find(const char *container_id, const char *name, bool v6, addr ret[DNS_ADDRESSES_MAX],
                  bool *ret_known);
/* "web.mynet" of an address on one of its networks; NULL: none; caller frees. */
char *names_of_address(const char *container_id, addr a);
/* Whether it may ask other servers: some network of its has a way out. */
bool names_may_leave(const char *container_id);

#endif
