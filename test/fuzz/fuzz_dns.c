/* fuzz_dns.c - a container's datagram: whatever parses has an answer of bounded length that is an
 * answer to it. */
#include "dns_packet.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[DNS_MESSAGE_MAX];
    addr list[3] = {addr_v4(0x0a000001), addr_v4(0x0a000002), addr_v4(0x0a000003)}, back;
    dns_query q;
    dns_verdict verdict = dns_parse(data, size, &q);
    size_t n;

    if (verdict == DNS_FAULTY)
        dns_reply(data, size, NULL, &(dns_answer){.rcode = ns_r_formerr}, out, sizeof out);
    if (verdict != DNS_ASKED)
        return 0;
    if (q.udp_max < DNS_UDP_MAX || strlen(q.name) >= NS_MAXDNAME)
        abort();
    dns_reversed(q.name, &back);
    n = dns_reply(data, size, &q,
                  &(dns_answer){.addresses = list, .n_addresses = 3, .pointer = q.name}, out,
                  q.udp_max);
    if (n > q.udp_max || !dns_answers(out, n, data, size))
        abort();
    return 0;
}
