/* child.h - programs run by absolute path, never by PATH and never through a shell.
 *
 * The child sees descriptors 0-2 and the named extra ones only, an environment of exactly env, and
 * default signal dispositions.  Its stderr is drained (at most 4 KiB is kept): the last non-empty
 * line becomes the error's message when it does not exit with 0.  Loop thread only. */
#ifndef BERTH_CHILD_H
#define BERTH_CHILD_H

#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct child child;

typedef struct child_opts {
    const char *name;        /* for logs and the watchdog; argv[0] when NULL */
    char *const *argv;       /* argv[0] is the absolute path, or file is set */
    const char *file;        /* executed instead of argv[0] when set */
    char *const *env;        /* NULL: empty but for PATH */
    const char *cwd;         /* NULL: "/" */
    int stdin_fd, stdout_fd; /* 0: /dev/null; else a descriptor that stays the caller's */
    int stderr_fd;           /* 0: drained and kept as the message; else given to the child */
    const int *extra_fds;    /* appear as 3, 4, ... in the child; they stay the caller's */
    size_t n_extra_fds;
    uint64_t timeout_ms; /* SIGKILL after it, error "...: timed out"; 0: none */
    bool detached;       /* own session: signals to the daemon's group do not reach it */
} child_opts;

typedef struct child_exit {
    int status;            /* exit code; 128+n for a signal */
    int signal;            /* 0 when it exited by itself */
    const char *last_line; /* of stderr, "" when there was none */
} child_exit;

/* done runs once, after the exit and the end of stderr (stderr is given up 200 ms after the exit: a
 * grandchild may hold it).  e is NULL for exit 0, else it tells last_line; owned by done. */
typedef void child_done(void *arg, err *e, const child_exit *exit);
must_check err *child_spawn(const child_opts *opts, child_done *done, void *arg, child **ret_child);
int child_pid(const child *c);
void child_kill(child *c, int signo); /* only while done has not run */

#endif
