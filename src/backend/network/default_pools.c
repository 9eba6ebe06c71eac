/* default_pools.c - where subnets that nobody names come from.
 *
 * dockerd's: 172.17.0.0/16 to 172.31.0.0/16 and 192.168.0.0/16 in parts of /20 for IPv4; for IPv6 a
 * unique local /48 of this daemon's own, in parts of /64.  Set before the loop runs. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 1 << 16 };

typedef struct default_pool {
    cidr base;
    int size; /* prefix length of each part */
} default_pool;

static struct {
    default_pool *v;
    size_t n;
} conf;

static addr_number parts_of(const default_pool *p)
{
    int bits = p->size - p->base.prefix;

    return bits >= 16 ? PARTS_MAX : (addr_number)1 << bits;
}

static cidr part_of(const default_pool *p, addr_number i)
{
    return (cidr){{p->base.base.n + (i << (p->base.base.bits - p->size)), p->base.base.bits},
                  p->size};
}

bool default_pool_nth(bool v6, size_t i, cidr *ret)
{
    for (size_t k = 0; k < conf.n; k++) {
        const default_pool *p = &conf.v[k];

        if (addr_is_v6(p->base.base) != v6)
            continue;
        if (i < parts_of(p)) {
            *ret = part_of(p, i);
            return true;
        }
        i -= (size_t)parts_of(p);
    }
    return false;
}

static void add(const char *base, int size)
{
    addr written;
    default_pool *p;

    conf.v = xrealloc(conf.v, (conf.n + 1) * sizeof *conf.v);
    p = &conf.v[conf.n++];
    p->size = size;
    cidr_parse(base, &written, &p->base);
}

static bool has_family(bool v6)
{
    for (size_t i = 0; i < conf.n; i++)
        if (addr_is_v6(conf.v[i].base.base) == v6)
            return true;
    return false;
}

static bool read_pool(const network_default_pool *p, cidr *ret_base)
{
    addr written;

    return cidr_parse(p->base, &written, ret_base) && p->size >= ret_base->prefix &&
           p->size <= ret_base->base.bits - 2;
}

bool network_default_pool_is_good(const network_default_pool *p)
{
    cidr base;

    return read_pool(p, &base);
}

void default_pools_set(const network_default_pool *asked, size_t n, uint64_t of_this_daemon)
{
    auto_free char *ula =
        xasprintf("fd%02x:%04x:%04x::/48", (unsigned)(of_this_daemon >> 32 & 0xff),
                  (unsigned)(of_this_daemon >> 16 & 0xffff), (unsigned)(of_this_daemon & 0xffff));

    default_pools_done();
    for (size_t i = 0; i < n; i++)
        if (network_default_pool_is_good(&asked[i]))
            add(asked[i].base, asked[i].size);
    if (!has_family(false)) {
        for (int i = 17; i <= 31; i++) {
            auto_free char *base = xasprintf("172.%d.0.0/16", i);

            add(base, 16);
        }
        add("192.168.0.0/16", 20);
    }
    if (!has_family(true))
        add(ula, 64);
}

void default_pools_done(void)
{
    free(take(conf.v));
    conf.n = 0;
}
