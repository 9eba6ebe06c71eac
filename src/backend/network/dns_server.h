/* dns_server.h - the name server of one container, for its files only. */
#ifndef BERTH_NETWORK_DNS_SERVER_H
#define BERTH_NETWORK_DNS_SERVER_H

#include "dns_packet.h"
#include <berth/dns.h>
#include <berth/sock.h>
#include <berth/watch.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <uthash.h>

typedef struct dns_server dns_server;
typedef struct dns_tcp dns_tcp;

struct dns_server {
    char *container;
    dns_sockets sockets;
    int out_host; /* on the host, for servers on its loopback; -1: not yet */
    watch *udp, *out4, *out6, *host;
    listener *tcp;
    dns_tcp *clients;
    unsigned n_clients;
    struct asking *asked; /* of other servers, by the id they were sent with */
    unsigned n_asked;
    UT_hash_handle hh;
};

/* Whom an answer goes to: a datagram's sender, or a connection. */
typedef struct dns_asker {
    dns_server *server;
    struct sockaddr_in from;
    dns_tcp *tcp; /* NULL: UDP */
} dns_asker;

/* The addresses of the servers that a container may ask (see dns_init). */
void dns_servers_of(const char *container_id, strv *ret);

void dns_send(const dns_asker *to, const uint8_t *p, size_t n);
dns_server *dns_tcp_server(const dns_tcp *client);

/* ---- dns_forward.c ---- */
/* Asks other servers, one after the other; the answer, or SERVFAIL, goes to the asker. */
void forward_query(const dns_asker *to, const uint8_t *p, size_t n, const dns_query *q);
void forward_watch(dns_server *s);          /* begins to hear answers */
void forward_close(dns_server *s);          /* what is asked is forgotten */
void forward_forget(const dns_tcp *client); /* nobody waits there any more */
/* The host's servers, read again when its file changed. */
void forward_host_servers(strv *ret);
void forward_done(void);

#endif
