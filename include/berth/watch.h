/* watch.h - readiness of a descriptor that libuv has no handle for (SEQPACKET sockets, pidfds,
 * inotify, netlink).  The descriptor stays the caller's.  Loop thread only. */
#ifndef BERTH_WATCH_H
#define BERTH_WATCH_H

typedef struct watch watch;
enum { WATCH_READ = 1, WATCH_WRITE = 2 };

watch *watch_start(const char *name, int fd, int events, void (*fn)(void *arg, int events),
                   void *arg);
void watch_set(watch *w, int events); /* 0 pauses */
void watch_stop(watch *w);            /* frees; NULL is fine; call it before closing fd */

#endif
