/* dns_packet.c - DNS messages.
 *
 * The C library's own functions take them apart: what arrives is a stranger's.  Any thread. */
#include "dns_packet.h"
#include <berth/str.h>
#include <arpa/inet.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

enum {
    POINTER_TO_QUESTION = 0xC000 | DNS_HEADER,
    FLAG_QR = 0x80,
    FLAG_TC = 0x02,
    FLAG_RD = 0x01,
    FLAG_RA = 0x80
};

static void to_lower(char *name)
{
    size_t n = strlen(name);

    for (char *p = name; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p |= 'a' - 'A';
    if (n && name[n - 1] == '.')
        name[n - 1] = '\0';
}

/* What the client takes, when it says so in an OPT record. */
static size_t udp_max_of(ns_msg *m)
{
    ns_rr rr;

    for (int i = 0; i < ns_msg_count(*m, ns_s_ar); i++) {
        unsigned size;

        if (ns_parserr(m, ns_s_ar, i, &rr) || ns_rr_type(rr) != ns_t_opt)
            continue;
        size = (unsigned)ns_rr_class(rr); /* of an OPT it is a size */
        return size > DNS_UDP_MAX ? size : DNS_UDP_MAX;
    }
    return DNS_UDP_MAX;
}

static size_t end_of_question(const uint8_t *p, size_t n)
{
    int name = dn_skipname(p + DNS_HEADER, p + n);

    return name < 0 ? 0 : DNS_HEADER + (size_t)name + 2 * NS_INT16SZ;
}

dns_verdict dns_parse(const uint8_t *p, size_t n, dns_query *ret)
{
    ns_msg m;
    ns_rr rr;

    if (n < DNS_HEADER || n > DNS_MESSAGE_MAX || p[2] & FLAG_QR)
        return DNS_DROPPED;
    if (ns_initparse(p, (int)n, &m) || ns_msg_getflag(m, ns_f_opcode) != ns_o_query ||
        ns_msg_count(m, ns_s_qd) != 1 || ns_parserr(&m, ns_s_qd, 0, &rr))
        return DNS_FAULTY;
    snprintf(ret->name, sizeof ret->name, "%s", ns_rr_name(rr));
    to_lower(ret->name);
    ret->type = ns_rr_type(rr);
    ret->class = ns_rr_class(rr);
    ret->question_end = end_of_question(p, n);
    ret->udp_max = udp_max_of(&m);
    return ret->question_end && ret->question_end <= n ? DNS_ASKED : DNS_FAULTY;
}

/* ---- answers ---- */

typedef struct writer {
    uint8_t *start, *at, *end;
    unsigned records;
    bool full;
} writer;

/* Name (that of the question), type, class, TTL and length; NULL when it does not fit. */
static uint8_t *begin_record(writer *w, unsigned type, size_t length)
{
    uint8_t *data = w->at + 3 * NS_INT16SZ + NS_INT32SZ + NS_INT16SZ;

    if (w->full || data + length > w->end) {
        w->full = true;
        return NULL;
    }
    NS_PUT16(POINTER_TO_QUESTION, w->at);
    NS_PUT16(type, w->at);
    NS_PUT16(ns_c_in, w->at);
    NS_PUT32(DNS_TTL_S, w->at);
    NS_PUT16(length, w->at);
    w->at += length;
    w->records++;
    return data;
}

static void put_address(writer *w, const addr *a)
{
    size_t n = addr_is_v6(*a) ? NS_IN6ADDRSZ : NS_INADDRSZ;
    uint8_t *data = begin_record(w, addr_is_v6(*a) ? ns_t_aaaa : ns_t_a, n);

    if (data)
        addr_bytes(*a, data);
}

static void put_pointer(writer *w, const char *name)
{
    uint8_t packed[NS_MAXCDNAME];
    int n = ns_name_pton(name, packed, sizeof packed) < 0
                ? -1
                : (int)dn_skipname(packed, packed + sizeof packed);
    uint8_t *data = n < 0 ? NULL : begin_record(w, ns_t_ptr, (size_t)n);

    if (data)
        memcpy(data, packed, (size_t)n);
}

size_t dns_reply(const uint8_t *query, size_t n, const dns_query *q, const dns_answer *a,
                 uint8_t *out, size_t room)
{
    size_t head = q ? q->question_end : DNS_HEADER;
    writer w = {out, out + head, out + room, 0, false};

    (void)n;
    memset(out, 0, DNS_HEADER);
    memcpy(out, query, 2);
    if (head > DNS_HEADER)
        memcpy(out + DNS_HEADER, query + DNS_HEADER, head - DNS_HEADER);
    for (size_t i = 0; i < a->n_addresses; i++)
        put_address(&w, &a->addresses[i]);
    if (a->pointer)
        put_pointer(&w, a->pointer);
    out[2] = (uint8_t)(FLAG_QR | (query[2] & 0x78) | (query[2] & FLAG_RD) | (w.full ? FLAG_TC : 0));
    out[3] = (uint8_t)(FLAG_RA | (a->rcode & 0x0f));
    out[5] = q ? 1 : 0;
    out[6] = (uint8_t)(w.records >> 8);
    out[7] = (uint8_t)w.records;
    return (size_t)(w.at - out);
}

/* ---- names of addresses ---- */

bool dns_reversed(const char *name, addr *ret)
{
    unsigned b[4];
    char digits[32], text[48];
    size_t n = 0;
    int end = 0;

    if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &b[0], &b[1], &b[2], &b[3], &end) == 4 &&
        end && !name[end]) {
        snprintf(text, sizeof text, "%u.%u.%u.%u", b[3], b[2], b[1], b[0]);
        return addr_parse(text, ret);
    }
    if (strlen(name) != 64 + strlen("ip6.arpa") || !str_ends(name, ".ip6.arpa"))
        return false;
    for (int i = 31; i >= 0; i--) {
        if (name[2 * i + 1] != '.')
            return false;
        digits[31 - i] = name[2 * i];
    }
    for (size_t i = 0; i < sizeof digits; i++) {
        if (i && i % 4 == 0)
            text[n++] = ':';
        text[n++] = digits[i];
    }
    text[n] = '\0';
    return addr_parse(text, ret);
}

bool dns_answers(const uint8_t *p, size_t n, const uint8_t *query, size_t query_n)
{
    size_t end = end_of_question(query, query_n);

    return n >= end && end && p[2] & FLAG_QR && ((p[4] << 8) | p[5]) == 1 &&
           !strncasecmp((const char *)p + DNS_HEADER, (const char *)query + DNS_HEADER,
                        end - DNS_HEADER - 4) &&
           !memcmp(p + end - 4, query + end - 4, 4);
}
