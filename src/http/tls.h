/* tls.h - TLS over a sock, for one connection: bytes in, bytes out, no I/O of its own. */
#ifndef BERTH_HTTP_TLS_H
#define BERTH_HTTP_TLS_H

#include <berth/http.h>
#include <berth/sock.h>

typedef struct tls_session tls_session;

typedef struct tls_events {
    void (*on_plain)(void *arg, const char *p, size_t n);
    void (*on_eof)(void *arg); /* the peer closed its side cleanly */
} tls_events;

tls_session *tls_session_new(http_tls *t, sock *s, const tls_events *ev, void *arg);
/* Ciphertext from the socket.  false: the session is broken, close the connection. */
bool tls_session_feed(tls_session *t, const char *p, size_t n);
/* Plaintext to send; kept until the handshake is over. */
void tls_session_write(tls_session *t, const void *p, size_t n);
bool tls_session_is_up(const tls_session *t);
void tls_session_bye(tls_session *t); /* close_notify */
void tls_session_free(tls_session *t);

#endif
