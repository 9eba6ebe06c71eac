/* events.h - the monitor's own small loop: descriptors and deadlines on one epoll. */
#ifndef MONITOR_EVENTS_H
#define MONITOR_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* A descriptor that is waited for.  Lives in its owner; fd stays the owner's. */
typedef struct source {
    int fd; /* -1: not in use */
    uint32_t
        want; /* EPOLLIN, EPOLLOUT; 0 leaves epoll altogether, so that a hang-up does not spin */
    void (*ready)(void *owner, uint32_t events);
    void *owner;
} source;

#define SOURCE_NONE ((source){.fd = -1})

/* A moment to act at.  Lives in its owner, zeroed. */
typedef struct deadline {
    int64_t at_ms; /* monotonic */
    void (*due)(void *owner);
    void *owner;
    struct deadline *next;
    bool armed;
} deadline;

bool events_init(void); /* false: errno tells why */
void source_add(source *s, int fd, uint32_t want, void (*ready)(void *owner, uint32_t events),
                void *owner);
void source_want(source *s, uint32_t want);
void source_close(source *s); /* leaves epoll and closes the descriptor; again is harmless */
void deadline_set(deadline *d, int64_t after_ms, void (*due)(void *owner), void *owner);
void deadline_clear(deadline *d);
void events_run(void); /* until events_stop */
void events_stop(void);

#endif
