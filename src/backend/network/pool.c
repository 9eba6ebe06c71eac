/* pool.c - the addresses of one subnet, and which are taken.
 *
 * A sorted list of those taken: where they are dense from the start of the range, which is what
 * handing out the lowest makes them, the first gap is found by halving.  Loop thread only. */
#include "pool.h"
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

struct pool {
    cidr subnet, range;
    addr_number *taken; /* ascending */
    size_t n, room;
};

cidr pool_subnet(const pool *p)
{
    return p->subnet;
}

cidr pool_range(const pool *p)
{
    return p->range;
}

/* The first index whose address is not below x. */
static size_t find(const pool *p, addr_number x)
{
    size_t low = 0, high = p->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (p->taken[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool insert(pool *p, addr_number x)
{
    size_t i = find(p, x);

    if (i < p->n && p->taken[i] == x)
        return false;
    if (p->n == p->room) {
        p->room = p->room ? 2 * p->room : 8;
        p->taken = xrealloc(p->taken, p->room * sizeof *p->taken);
    }
    memmove(p->taken + i + 1, p->taken + i, (p->n - i) * sizeof *p->taken);
    p->taken[i] = x;
    p->n++;
    return true;
}

/* A subnet of one or two addresses (/31, /32, /127, /128) has no address of its own to spare. */
static void reserve_own(pool *p)
{
    if (p->subnet.prefix >= p->subnet.base.bits - 1)
        return;
    insert(p, p->subnet.base.n);
    if (!addr_is_v6(p->subnet.base))
        insert(p, cidr_last(p->subnet).n);
}

pool *pool_new(cidr subnet, cidr range)
{
    pool *p = new0(pool);

    p->subnet = subnet;
    p->range = addr_is_set(range.base) ? range : subnet;
    reserve_own(p);
    return p;
}

void pool_free(pool *p)
{
    if (!p)
        return;
    free(p->taken);
    free(p);
}

bool pool_reserve(pool *p, addr a)
{
    return cidr_has(p->subnet, a) && insert(p, a.n);
}

bool pool_take(pool *p, addr *ret_a)
{
    addr_number first = p->range.base.n, last = cidr_last(p->range).n;
    size_t start = find(p, first), low = start, high = p->n;

    while (low < high) { /* the first whose place is not first + its rank */
        size_t middle = low + (high - low) / 2;

        if (p->taken[middle] == first + (middle - start))
            low = middle + 1;
        else
            high = middle;
    }
    first += low - start;
    if (first > last || first < p->range.base.n)
        return false;
    insert(p, first);
    *ret_a = (addr){first, p->subnet.base.bits};
    return true;
}

void pool_release(pool *p, addr a)
{
    size_t i = find(p, a.n);

    if (i == p->n || p->taken[i] != a.n)
        return;
    memmove(p->taken + i, p->taken + i + 1, (p->n - i - 1) * sizeof *p->taken);
    p->n--;
}
