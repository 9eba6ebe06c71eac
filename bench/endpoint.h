/* endpoint.h - where the server is, resolved once. */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include "tls.h"
#include <berth/err.h>
#include <sys/socket.h>

typedef struct endpoint {
    char *path;      /* of a unix socket; NULL: TCP */
    char *host;      /* name of a TCP server, for TLS */
    char *authority; /* the Host header's value */
    struct sockaddr_storage address;
    tls_config *tls; /* NULL: plain */
} endpoint;

/* url is unix:///path or tcp://host:port (http:// and https:// are taken as tcp).  Blocks for the
 * name. */
must_check err *endpoint_new(const char *url, const char *ca, const char *cert, const char *key,
                             endpoint **ret_endpoint);
void endpoint_free(endpoint *e);

#endif
