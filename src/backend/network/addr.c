/* addr.c - addresses and subnets of either family, as numbers.  Any thread. */
#include "addr.h"
#include <arpa/inet.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdio.h>
#include <string.h>

addr addr_v4(uint32_t ip)
{
    return (addr){ip, 32};
}

size_t addr_bytes(addr a, uint8_t out[ADDR_BYTES_MAX])
{
    size_t size = a.bits / 8;

    for (size_t i = size; i-- > 0; a.n >>= 8)
        out[i] = (uint8_t)a.n;
    return size;
}

addr addr_of_bytes(const void *p, size_t n)
{
    const uint8_t *byte = p;
    addr a = {0, (uint8_t)(n * 8)};

    for (size_t i = 0; i < n; i++)
        a.n = a.n << 8 | byte[i];
    return a;
}

bool addr_parse(const char *text, addr *ret_a)
{
    uint8_t bytes[ADDR_BYTES_MAX];

    if (str_empty(text))
        return false;
    if (inet_pton(AF_INET, text, bytes) == 1)
        *ret_a = addr_of_bytes(bytes, 4);
    else if (inet_pton(AF_INET6, text, bytes) == 1)
        *ret_a = addr_of_bytes(bytes, 16);
    else
        return false;
    return true;
}

void addr_format(addr a, char out[ADDR_TEXT])
{
    uint8_t bytes[ADDR_BYTES_MAX];

    out[0] = '\0';
    if (addr_bytes(a, bytes) > 0)
        inet_ntop(addr_is_v6(a) ? AF_INET6 : AF_INET, bytes, out, ADDR_TEXT);
}

static addr_number host_part(uint8_t bits, int prefix)
{
    int host_bits = bits - prefix;

    return host_bits >= 128 ? ~(addr_number)0 : ((addr_number)1 << host_bits) - 1;
}

bool cidr_parse(const char *text, addr *ret_as_written, cidr *ret_c)
{
    const char *slash = text ? strchr(text, '/') : NULL;
    auto_free char *host = slash ? xstrndup(text, (size_t)(slash - text)) : NULL;
    uint64_t prefix;
    addr a;

    if (!host || !addr_parse(host, &a) || !str_to_uint64(slash + 1, &prefix) || prefix > a.bits)
        return false;
    *ret_as_written = a;
    *ret_c = (cidr){{a.n & ~host_part(a.bits, (int)prefix), a.bits}, (int)prefix};
    return true;
}

void cidr_format(cidr c, char out[CIDR_TEXT])
{
    char base[ADDR_TEXT];

    addr_format(c.base, base);
    snprintf(out, CIDR_TEXT, "%s/%d", base, c.prefix);
}

bool cidr_has(cidr c, addr a)
{
    return a.bits == c.base.bits && (a.n & ~host_part(a.bits, c.prefix)) == c.base.n;
}

bool cidr_overlaps(cidr a, cidr b)
{
    return cidr_has(a, b.base) || cidr_has(b, a.base);
}

addr cidr_last(cidr c)
{
    return (addr){c.base.n | host_part(c.base.bits, c.prefix), c.base.bits};
}
