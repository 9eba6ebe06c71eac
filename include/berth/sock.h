/* sock.h - a connected byte stream (unix or TCP), with back-pressure both ways.  Loop thread only.
 */
#ifndef BERTH_SOCK_H
#define BERTH_SOCK_H

#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sock sock;

/* on_data's bytes are valid during the call.  on_eof: the peer closed its write side (or reset: e
 * is set, owned by the callee); after a plain EOF a failing write is told the same way, once more
 * and for the last time.  on_drain: a queued write ended and at most 16 KiB are unsent; the last
 * call comes at 0.  on_closed is the last callback: the socket's memory goes when it returns.  None
 * of them is called from within a function of this header. */
typedef struct sock_events {
    void (*on_data)(void *arg, const char *p, size_t n);
    void (*on_eof)(void *arg, err *e);
    void (*on_drain)(void *arg);
    void (*on_closed)(void *arg);
} sock_events;

/* A connected descriptor (socket or pipe) as a sock; fd is consumed when it succeeds. */
must_check err *sock_adopt(int fd, sock **ret_sock);
void sock_set(sock *s, const sock_events *events, void *arg); /* reading begins paused */
void sock_read(sock *s, bool on);
/* Copies what the kernel does not take at once.  After an error or a close nothing is sent. */
void sock_write(sock *s, const void *p, size_t n);
/* Two pieces in one system call. */
void sock_write2(sock *s, const void *p1, size_t n1, const void *p2, size_t n2);
size_t sock_unsent(const sock *s); /* bytes that the kernel has not taken */
void sock_shutdown(sock *s);       /* close the write side once all is sent */
void sock_close(sock *s);          /* at once; on_closed follows from the loop */
bool sock_is_unix(const sock *s);
const char *sock_peer(const sock *s); /* "@" for unix, "ip:port" for TCP */
int sock_fd(const sock *s);
/* Detach the descriptor from the loop: the sock is freed (on_closed is not called), the descriptor
 * is the caller's (with another number, still non-blocking; -1 when none was free), unsent bytes
 * must be none. */
int sock_release(sock *s);

typedef struct listener listener;
typedef struct listener_events {
    void (*on_accept)(void *arg, sock *s); /* s is the callee's, to be sock_set at once */
    void (*on_error)(void *arg, err *e);   /* the listener is dead */
} listener_events;

/* unix: a stale socket is unlinked only when nobody answers on it (a live one is ERR_CONFLICT),
 * bound under umask 0777, chowned to root:group (a name or a number; "" leaves it; a missing
 * "docker" is only a warning), then chmod 0660.  Accepting survives EMFILE through a reserved
 * descriptor. */
must_check err *listener_unix(const char *path, const char *group, const listener_events *ev,
                              void *arg, listener **ret);
/* host may be "", an IPv4 or an IPv6 address or a name; port 0 picks one. */
must_check err *listener_tcp(const char *host, unsigned port, const listener_events *ev, void *arg,
                             listener **ret);
/* A descriptor that a service manager handed over, already listening. */
must_check err *listener_fd(int fd, const listener_events *ev, void *arg, listener **ret);
void listener_pause(listener *l, bool paused); /* too many connections: stop accepting for now */
unsigned listener_port(const listener *l);     /* of TCP; 0 otherwise */
bool listener_is_unix(const listener *l);
void listener_close(listener *l, bool unlink_path);

#endif
