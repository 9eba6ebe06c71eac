/* dns_packet.h - a question as it came, and its answer, by the C library's message functions. */
#ifndef BERTH_NETWORK_DNS_PACKET_H
#define BERTH_NETWORK_DNS_PACKET_H

#include "addr.h"
#include <arpa/nameser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNS_UDP_MAX = 512, DNS_MESSAGE_MAX = 65535, DNS_HEADER = 12, DNS_TTL_S = 600 };

typedef struct dns_query {
    char name[NS_MAXDNAME]; /* lower case, without the last dot */
    unsigned type, class;
    size_t question_end; /* of the message: header and question */
    size_t udp_max;      /* what the client takes in one datagram */
} dns_query;

/* What a parse comes to: an answer is due, only its rcode is, or nothing is. */
typedef enum dns_verdict { DNS_ASKED, DNS_FAULTY, DNS_DROPPED } dns_verdict;
dns_verdict dns_parse(const uint8_t *p, size_t n, dns_query *ret);

typedef struct dns_answer {
    int rcode; /* ns_r_noerror, ... */
    const addr *addresses;
    size_t n_addresses;
    const char *pointer; /* of a PTR; NULL: none */
} dns_answer;
/* Into out, at most room bytes, truncated (TC) where it does not fit; its length.  query as it was
 * parsed; q NULL for a faulty one. */
size_t dns_reply(const uint8_t *query, size_t n, const dns_query *q, const dns_answer *a,
                 uint8_t *out, size_t room);
/* The address that a name below in-addr.arpa or ip6.arpa stands for. */
bool dns_reversed(const char *name, addr *ret);
/* Whether p is the answer to that query. */
bool dns_answers(const uint8_t *p, size_t n, const uint8_t *query, size_t query_n);

#endif
