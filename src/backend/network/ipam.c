/* ipam.c - IPv4 subnets and who has which address of one.
 *
 * One bit per address; the lowest free one is handed out, which is what clients of dockerd see.
 * Loop thread only. */
#include "ipam.h"
#include <arpa/inet.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BITS = 64, PREFIX_MIN = 1, PREFIX_MAX = 30, RANGE_BITS_MAX = 24 };

struct ipam {
    uint32_t first; /* address of bit 0 */
    size_t n;       /* addresses */
    size_t lowest;  /* no word below it has a free bit */
    uint64_t *used;
};

static uint32_t mask_of(int prefix)
{
    return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

bool ip_parse(const char *text, uint32_t *ret_ip)
{
    struct in_addr in;

    if (inet_pton(AF_INET, text, &in) != 1)
        return false;
    *ret_ip = ntohl(in.s_addr);
    return true;
}

void ip_format(uint32_t ip, char out[IP_TEXT])
{
    struct in_addr in = {htonl(ip)};

    inet_ntop(AF_INET, &in, out, IP_TEXT);
}

bool subnet_parse(const char *text, uint32_t *ret_ip, subnet *ret_s)
{
    const char *slash = strchr(text, '/');
    auto_free char *host = slash ? xstrndup(text, (size_t)(slash - text)) : NULL;
    uint64_t prefix;
    uint32_t ip;

    if (!host || !ip_parse(host, &ip) || !str_to_uint64(slash + 1, &prefix))
        return false;
    if (prefix < PREFIX_MIN || prefix > PREFIX_MAX)
        return false;
    *ret_ip = ip;
    *ret_s = (subnet){ip & mask_of((int)prefix), (int)prefix};
    return true;
}

bool subnet_has(subnet s, uint32_t ip)
{
    return (ip & mask_of(s.prefix)) == s.base;
}

bool subnet_overlaps(subnet a, subnet b)
{
    return subnet_has(a, b.base) || subnet_has(b, a.base);
}

uint32_t subnet_last(subnet s)
{
    return s.base | ~mask_of(s.prefix);
}

static bool is_free(subnet s, const subnet *taken, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (subnet_overlaps(s, taken[i]))
            return false;
    return true;
}

err *subnet_choose(const subnet *taken, size_t n, subnet *ret_s)
{
    static const struct pool {
        uint32_t first;
        int prefix;
        unsigned count;
    } pools[] = {
        {0xac110000, 16, 15}, /* 172.17.0.0/16 to 172.31.0.0/16 */
        {0xc0a80000, 20, 16}, /* 192.168.0.0/16 in parts of /20 */
    };

    for (size_t p = 0; p < COUNT(pools); p++)
        for (unsigned i = 0; i < pools[p].count; i++) {
            subnet s = {pools[p].first + (i << (32 - pools[p].prefix)), pools[p].prefix};

            if (is_free(s, taken, n)) {
                *ret_s = s;
                return NULL;
            }
        }
    return err_new(ERR_INVALID, "all predefined address pools have been fully subnetted");
}

ipam *ipam_new(subnet s, subnet range)
{
    ipam *p = new0(ipam);

    if (range.prefix < 32 - RANGE_BITS_MAX)
        range.prefix = 32 - RANGE_BITS_MAX;
    p->first = range.base;
    p->n = (size_t)1 << (32 - range.prefix);
    p->used = xcalloc((p->n + WORD_BITS - 1) / WORD_BITS, sizeof(uint64_t));
    ipam_reserve(p, s.base);
    ipam_reserve(p, subnet_last(s));
    return p;
}

void ipam_free(ipam *p)
{
    if (!p)
        return;
    free(p->used);
    free(p);
}

static bool in_range(const ipam *p, uint32_t ip)
{
    return ip >= p->first && ip - p->first < p->n;
}

bool ipam_reserve(ipam *p, uint32_t ip)
{
    size_t i = ip - p->first;
    uint64_t bit = UINT64_C(1) << (i % WORD_BITS);

    if (!in_range(p, ip))
        return true;
    if (p->used[i / WORD_BITS] & bit)
        return false;
    p->used[i / WORD_BITS] |= bit;
    return true;
}

bool ipam_take(ipam *p, uint32_t *ret_ip)
{
    size_t words = (p->n + WORD_BITS - 1) / WORD_BITS;

    while (p->lowest < words && p->used[p->lowest] == UINT64_MAX)
        p->lowest++;
    if (p->lowest == words)
        return false;

    size_t i = p->lowest * WORD_BITS + (size_t)__builtin_ctzll(~p->used[p->lowest]);

    if (i >= p->n)
        return false;
    p->used[p->lowest] |= UINT64_C(1) << (i % WORD_BITS);
    *ret_ip = p->first + (uint32_t)i;
    return true;
}

void ipam_release(ipam *p, uint32_t ip)
{
    size_t i = ip - p->first;

    if (!in_range(p, ip))
        return;
    p->used[i / WORD_BITS] &= ~(UINT64_C(1) << (i % WORD_BITS));
    if (i / WORD_BITS < p->lowest)
        p->lowest = i / WORD_BITS;
}
