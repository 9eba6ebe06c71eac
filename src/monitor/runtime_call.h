/* runtime_call.h - one call of the OCI runtime: run the container, or an exec in it. */
#ifndef MONITOR_RUNTIME_CALL_H
#define MONITOR_RUNTIME_CALL_H

#include "session.h"
#include <berth/buf.h>
#include <berth/err.h>
#include <berth/str.h>

typedef struct runtime_spec {
    const char *id, *bundle, *runtime, *run_dir;
    const strv *args; /* global arguments */
    bool hide_unified;
    int run_dir_fd;
} runtime_spec;

/* Begin: s->runtime_pid is then the runtime's, to be waited for. */
must_check err *runtime_begin(session *s, const runtime_spec *spec);
/* The runtime ended with this wait status: the new process's pid, or the runtime's words as an
 * error. */
must_check err *runtime_end(session *s, int wait_status, pid_t *ret_pid);
/* In a child: a mount namespace in which /sys/fs/cgroup/unified is not mounted. */
must_check err *runtime_hide_unified(void);

#endif
