/* supervise.h - what the monitor watches over: the container's init, its execs, their ends. */
#ifndef MONITOR_SUPERVISE_H
#define MONITOR_SUPERVISE_H

#include "session.h"
#include <berth/err.h>
#include <berth/str.h>
#include <stdbool.h>

enum {
    SUPERVISE_LINGER_MS = 10 * 1000, /* after the end, for a daemon that does not acknowledge */
    SUPERVISE_IDLE_MS = 1000,        /* without traffic, then scratch memory is given back */
};

typedef struct supervise_spec {
    const char *id, *run_dir, *exit_path, *bundle, *runtime;
    strv args;
    unsigned flags;
    unsigned short rows, cols;
    const char *log_driver;
    logfile_spec log;
} supervise_spec;

must_check err *supervise_init(void); /* signals; once */
/* The container to run; copies.  Makes the init's session and listens in run_dir. */
must_check err *supervise_begin(const supervise_spec *spec);
/* Run the init; the answer to request follows, or is the error.  *lease is taken, -1: none. */
must_check err *supervise_run(uint32_t request, int *lease);
must_check err *supervise_exec_prepare(const session_opts *opts);
must_check err *supervise_exec_run(session *s, uint32_t request);
void supervise_ack(session *s);

session *supervise_sessions(void); /* the first; NULL before supervise_begin */
session *supervise_find(const char *id);
bool supervise_is_starting(void);
void supervise_daemon_gone(void);
void supervise_check(void); /* look soon whether anything is left to do */

/* For sessions. */
void supervise_drained(session *s);
void supervise_announce(session *s);
void supervise_active(void);

#endif
