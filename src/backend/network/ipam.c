/* ipam.c - IPv4 subnets as the default bridge and the firewall have them.  Any thread. */
#include "ipam.h"
#include <arpa/inet.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_MIN = 1, PREFIX_MAX = 30 };

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
