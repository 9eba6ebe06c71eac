/* ipam.h - IPv4 subnets as the default bridge and the firewall have them.  Any thread; no I/O. */
#ifndef BERTH_NETWORK_IPAM_H
#define BERTH_NETWORK_IPAM_H

#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct subnet {
    uint32_t base; /* host byte order, host bits zero */
    int prefix;
} subnet;

enum { IP_TEXT = 16 }; /* "255.255.255.255" and its NUL */

bool ip_parse(const char *text, uint32_t *ret_ip);
void ip_format(uint32_t ip, char out[IP_TEXT]);
/* "172.17.0.1/16": the address as written and its subnet; prefix lengths 1 to 30. */
bool subnet_parse(const char *text, uint32_t *ret_ip, subnet *ret_s);
bool subnet_has(subnet s, uint32_t ip);
bool subnet_overlaps(subnet a, subnet b);
uint32_t subnet_last(subnet s); /* the broadcast address */

#endif
