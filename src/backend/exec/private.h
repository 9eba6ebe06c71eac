/* private.h - what an exec is made of, for the files of this room only. */
#ifndef BERTH_EXEC_PRIVATE_H
#define BERTH_EXEC_PRIVATE_H

#include <berth/buf.h>
#include <berth/exec.h>
#include <berth/timer.h>
#include <stdint.h>
#include <uthash.h>

typedef enum exec_stage { EXEC_CREATED, EXEC_STARTING, EXEC_RUNNING, EXEC_ENDED } exec_stage;

struct exec {
    unsigned refs;
    char id[65];
    container *c; /* referenced */
    arena *arena;
    exec_config config;
    bool is_known; /* by its id */
    exec_stage stage;
    int pid, exit_code;
    exec_client *client;
    void (*on_ended)(void *arg); /* NULL: nobody waits for it */
    void *on_ended_arg;
    int64_t ended_ns;
    UT_hash_handle hh;
};

struct exec_client {
    exec *x; /* referenced */
    attach_events ev;
    void *arg;
    attachment *a;
    buf waiting;      /* stdin from before the session was there */
    timer *exit_wait; /* the output is over, the exit is not told yet */
    bool eof_waiting, stalled, paused, ended, freed;
};

/* ---- exec.c ---- */
exec *exec_ref(exec *x);
void exec_unref(exec *x);
void exec_announce(exec *x, const char *what); /* the event "exec_start: true -x" */
void exec_ended(exec *x, int code);            /* its process ended, or could not be started */
void exec_forget(exec *x);                     /* nobody will ask for it */

/* ---- client.c ---- */
void exec_client_bind(exec_client *cl); /* its session is there */
void exec_client_end(exec_client *cl, err *e);

/* ---- health.c ---- */
void health_started(container *c);
void health_stopped(container *c);
void health_removed(container *c);
const char *health_status(const container *c); /* "" without a health check */
bool health_describe(const container *c, arena *a, container_health *ret); /* false: none */
void health_done(void);

#endif
