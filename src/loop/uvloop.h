/* uvloop.h - what the files of this room share: the libuv loop, and the frame of every callback.
 *
 * Each function that libuv calls opens with LOOP_CALLBACK("name").  When it returns, the watchdog
 * has timed it and the reap list (loop_defer) is emptied: that is what "between events" means here.
 * Loop thread only. */
#ifndef BERTH_SRC_LOOP_UVLOOP_H
#define BERTH_SRC_LOOP_UVLOOP_H

#include <berth/err.h>
#include <berth/loop.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

uv_loop_t *loop_uv(void); /* asserts that the loop's thread asks */

/* One buffer for all reads: its bytes are valid until the next read of anybody. */
enum { LOOP_READ_BUFFER = 64 * 1024 };
char *loop_read_buffer(void);

typedef struct loop_callback {
    const char *name;
    uint64_t began_ns;
} loop_callback;

loop_callback loop_callback_enter(const char *name);
void loop_callback_leave(loop_callback *cb);
#define LOOP_CALLBACK(name)                                                              \
    __attribute__((cleanup(loop_callback_leave), unused)) loop_callback loop_callback_ = \
        loop_callback_enter(name)

/* The watchdog alone, for what runs inside another callback: began_ns is 0 while it is off. */
uint64_t watchdog_begin(void);
void watchdog_end(uint64_t began_ns, const char *name);

/* The negative result of a libuv call as an error. */
must_check err *uv_failed(int rc, const char *what);

/* Wrap a connected descriptor: fd is consumed when it succeeds, peer (NULL for unix) always. */
struct sock;
must_check err *sock_open(int fd, bool is_unix, char *peer, struct sock **ret_sock);
/* "ip:port" of a TCP address; the caller frees. */
struct sockaddr_storage;
char *sock_address_text(const struct sockaddr_storage *sa);

/* What one of each costs, for sizes_test. */
extern const size_t flow_bytes, job_bytes, sock_bytes;

void children_let_go(void); /* at the end of the loop: those that still run */
void jobs_init(void);       /* sizes the worker pool; before its first use */

#endif
