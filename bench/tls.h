/* tls.h - one TLS client session between two buffers; it never touches a socket. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include <berth/buf.h>
#include <berth/err.h>
#include <stdbool.h>

typedef struct tls_config tls_config; /* authorities, certificate, key: shared by all sessions */
typedef struct tls tls;

/* Without ca the server is not checked; without cert we have none to show. */
must_check err *tls_config_new(const char *ca, const char *cert, const char *key,
                               tls_config **ret_config);
void tls_config_free(tls_config *c);

/* cipher is where bytes for the socket are added; it stays the caller's. */
must_check err *tls_new(const tls_config *c, const char *host, buf *cipher, tls **ret_tls);
void tls_free(tls *t);
void tls_feed(tls *t, const void *p, size_t n); /* bytes that came from the socket */
/* Goes on with the handshake, then encrypts all of plain (consuming it) and gives what was
 * decrypted to got, until that answers false.  An error is the end of the session; a close by the
 * peer is none (*ret_closed). */
must_check err *tls_step(tls *t, buf *plain, bool (*got)(void *arg, const char *p, size_t n),
                         void *arg, bool *ret_closed);

#endif
