/* addr.h - addresses and subnets of either family.  Any thread; no I/O. */
#ifndef BERTH_NETWORK_ADDR_H
#define BERTH_NETWORK_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 addr_number;

typedef struct addr {
    addr_number n; /* host byte order; of IPv4 the low 32 bits */
    uint8_t bits;  /* 32, 128; 0: no address */
} addr;

typedef struct cidr {
    addr base; /* host bits zero */
    int prefix;
} cidr;

enum {
    ADDR_TEXT = 46,            /* of either family, and its NUL */
    CIDR_TEXT = ADDR_TEXT + 4, /* "/128" */
    ADDR_BYTES_MAX = 16,
};

static inline bool addr_is_set(addr a)
{
    return a.bits != 0;
}
static inline bool addr_is_v6(addr a)
{
    return a.bits == 128;
}
static inline bool addr_eq(addr a, addr b)
{
    return a.bits == b.bits && a.n == b.n;
}
addr addr_v4(uint32_t ip);
bool addr_parse(const char *text, addr *ret_a); /* NULL and "" are none */
void addr_format(addr a, char out[ADDR_TEXT]);  /* "" when it is not set */
/* Network byte order; returns how many bytes: 4, 16, or 0 when it is not set. */
size_t addr_bytes(addr a, uint8_t out[ADDR_BYTES_MAX]);
addr addr_of_bytes(const void *p, size_t n); /* 4 or 16 bytes */

/* "10.1.2.3/16": the address as written and its subnet. */
bool cidr_parse(const char *text, addr *ret_as_written, cidr *ret_c);
void cidr_format(cidr c, char out[CIDR_TEXT]);
bool cidr_has(cidr c, addr a);
bool cidr_overlaps(cidr a, cidr b);
addr cidr_last(cidr c);

#endif
