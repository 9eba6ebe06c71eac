/* pool.h - the addresses of one subnet, and which are taken.
 *
 * Memory is by what is taken, not by how large the subnet is.  Loop thread only; no I/O. */
#ifndef BERTH_NETWORK_POOL_H
#define BERTH_NETWORK_POOL_H

#include "addr.h"

typedef struct pool pool;
/* Hands out addresses of range (within subnet; a prefix of 0 without an address: all of it), never
 * the subnet's own address and never, with IPv4, its broadcast address. */
pool *pool_new(cidr subnet, cidr range);
void pool_free(pool *p);
cidr pool_subnet(const pool *p);
cidr pool_range(const pool *p);       /* the subnet when none was asked for */
bool pool_take(pool *p, addr *ret_a); /* the lowest free one; false when there is none */
bool pool_reserve(pool *p, addr a);   /* false when it is taken or not of the subnet */
void pool_release(pool *p, addr a);

#endif
