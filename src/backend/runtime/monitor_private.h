/* monitor_private.h - what the parts of the monitor's client share. */
#ifndef RUNTIME_MONITOR_PRIVATE_H
#define RUNTIME_MONITOR_PRIVATE_H

#include "wire_link.h"
#include <berth/child.h>
#include <berth/monitor.h>
#include <berth/timer.h>

typedef struct running_exec {
    struct running_exec *next;
    char *id;
    pid_t pid;
    int pidfd;
} running_exec;

typedef void start_ready(void *arg, err *e);
typedef void connect_ready(void *arg, err *e, const monitor_started *state);

/* A request that waits for its answer; one of the callbacks is set. */
typedef struct pending {
    struct pending *next;
    uint32_t request;
    start_ready *done;
    monitor_start_done *started;
    char *exec_id; /* of an exec's start */
    void *arg;
} pending;

/* A spawned berth-monitor outlives our object; this is what its child's end refers to. */
typedef struct spawned {
    monitor *m; /* NULL once the object is freed */
} spawned;

struct monitor {
    char *id, *runtime;
    const monitor_events *events;
    void *arg;
    wire_link link;
    spawned *spawned;
    start_ready *spawn_ready;     /* until called */
    connect_ready *connect_ready; /* until called */
    pending *pending;
    uint32_t last_request;
    pid_t monitor_pid, init_pid;
    int64_t started_ns;
    int init_pidfd;
    int lease; /* while monitor_run is pending: ends when monitor and runtime have ended, -1: none
                */
    watch *lease_watch;
    timer *lease_timer;
    running_exec *execs;
    bool running; /* the init was started and its end was not told */
    bool freed;
};

monitor *monitor_new(const char *id, const monitor_events *ev, void *arg);
void monitor_open_link(monitor *m, int fd);
/* A request; returns its number after adding it to the pending ones. */
uint32_t monitor_expect(monitor *m, start_ready *done, monitor_start_done *started, void *arg);
void monitor_hello(monitor *m);

#endif
