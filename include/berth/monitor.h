/* monitor.h - the daemon's side of berth-monitor, one per running container.
 *
 * The monitor holds stdio, log and exit status and needs no daemon.  A monitor object here is a
 * connection to that process; sessions are the container's init ("" as session name) and its execs
 * (the exec's id).  Loop thread only, except monitor_read_exit. */
#ifndef BERTH_MONITOR_H
#define BERTH_MONITOR_H

#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct monitor monitor;
typedef struct attachment attachment;

typedef struct monitor_log {
    const char *driver; /* "json-file" or "none" */
    const char *path;   /* absolute */
    int64_t max_size;   /* bytes; -1: no rotation */
    unsigned max_files; /* 1: truncate on rotation */
    bool compress;      /* gzip rotated files */
    const char *attrs;  /* JSON object text for "attrs" of every line, or NULL */
} monitor_log;

typedef struct monitor_spec {
    const char *program;   /* absolute path of berth-monitor */
    const char *id;        /* container */
    const char *run_dir;   /* 0700, exists: socket, pid file of the monitor, console socket */
    const char *exit_path; /* durable exit record, in the container's state directory */
    const char *bundle;    /* OCI bundle directory */
    const char *runtime;   /* absolute path of the OCI runtime */
    const char *const *runtime_args; /* global arguments before the command, NULL-terminated */
    bool hide_unified; /* hybrid cgroup host and crun: run it where /sys/fs/cgroup/unified is not
                          seen */
    bool tty, open_stdin, stdin_once;
    unsigned short rows, cols; /* initial size of the tty, 0: none */
    monitor_log log;
} monitor_spec;

/* What a session's end looks like. */
typedef struct monitor_exit {
    int code; /* exit code, 128+n for a signal */
    int64_t finished_ns;
    bool oom;  /* the kernel's OOM killer hit the container's cgroup (init only) */
    bool lost; /* the monitor died: code is 137 and made up, time is when it was noticed */
} monitor_exit;

typedef struct monitor_events {
    /* The container's init ended (once), or the monitor was lost. */
    void (*on_exit)(void *arg, const monitor_exit *exit);
    /* An exec of this monitor ended. */
    void (*on_exec_exit)(void *arg, const char *exec_id, const monitor_exit *exit);
} monitor_events;

typedef struct monitor_started {
    pid_t pid;
    int64_t started_ns;
} monitor_started;
/* e: the runtime's own last line ("executable file not found in $PATH"), owned by the callee. */
typedef void monitor_start_done(void *arg, err *e, const monitor_started *started);

/* Spawn berth-monitor and connect; nothing of the container runs yet, attachments may be made.
 * ready gets an error when it could not be spawned; then the object is dead and to be freed. */
monitor *monitor_spawn(const monitor_spec *spec, const monitor_events *ev, void *arg,
                       void (*ready)(void *arg, err *e));
/* Run the container: the runtime, once, detached. */
void monitor_run(monitor *m, monitor_start_done *done, void *arg);

/* Find a monitor that outlived a daemon.  ready: an error when nothing answers there (then look at
 * monitor_read_exit); with state: it runs with this pid, or it has not been told to run yet (pid
 * 0). */
monitor *monitor_connect(const char *run_dir, const char *id, const monitor_events *ev, void *arg,
                         void (*ready)(void *arg, err *e, const monitor_started *state));
/* The exit record, also with no monitor left.  ERR_NOT_FOUND when there is none.  Any thread,
 * blocks. */
must_check err *monitor_read_exit(const char *exit_path, monitor_exit *ret);

pid_t monitor_pid(const monitor *m); /* of berth-monitor itself, 0 when unknown */
/* The init's pidfd, from the monitor before it could be reaped: a signal through it never hits
 * another process, also when the monitor is lost.  The monitor's until monitor_free; -1 when it
 * does not run. */
int monitor_init_pidfd(const monitor *m);
/* Free our side.  A monitor that was never told to run ends by itself; a running one lives on.
 * Callbacks that are still due are not called; attachments are on their own. */
void monitor_free(monitor *m);
/* The same for one whose container has ended: callbacks that are still due are told so first. */
void monitor_abandon(monitor *m);

/* ---- execs ---- */
typedef struct monitor_exec_spec {
    const char *exec_id;
    const char *process_path; /* OCI process JSON for `exec --process` */
    bool tty, open_stdin, want_stdout, want_stderr;
    unsigned short rows, cols;
} monitor_exec_spec;
/* Prepare the session (so that attachments can be made), then run it. */
void monitor_exec_prepare(monitor *m, const monitor_exec_spec *spec,
                          void (*ready)(void *arg, err *e), void *arg);
void monitor_exec_run(monitor *m, const char *exec_id, monitor_start_done *done, void *arg);

/* A prepared exec will not be run: its session ends. */
void monitor_exec_forget(monitor *m, const char *exec_id);
/* The execs that run in it: those that this daemon started, and after monitor_connect those that an
 * earlier one did.  pidfd as monitor_init_pidfd, -1 when the monitor could not give one. */
void monitor_each_exec(const monitor *m, void (*fn)(void *arg, const char *exec_id, pid_t pid),
                       void *arg);
int monitor_exec_pidfd(const monitor *m, const char *exec_id);

/* ---- stdio ---- */
enum {
    ATTACH_STDIN = 1,
    ATTACH_STDOUT = 2,
    ATTACH_STDERR = 4,
    ATTACH_REPLAY = 8, /* the caller shows the log first: ask for on_log_position */
};
/* on_output: frame is a whole Docker stream frame (8 bytes of header: kind 0 0 0 length as big
 * endian, then the payload); on a tty the caller skips the header.  on_end: the session's output is
 * complete (drained after exit, at most 2 s after it), or the monitor dropped this client because
 * it did not read (e says so; owned by the callee); last callback. */
typedef struct attach_events {
    void (*on_output)(void *arg, const char *frame, size_t n);
    void (*on_end)(void *arg, err *e);
    void (*on_stdin_drain)(void *arg); /* attach_stdin returned false before */
    /* With ATTACH_REPLAY only, before any output, may be NULL: what is in the log up to size bytes
     * came before this client, all else comes as output, without gap or repetition (a line whose
     * end was not yet there begins in the output).  inode: of the file that is meant, should it be
     * rotated meanwhile; 0 when there is no log. */
    void (*on_log_position)(void *arg, int64_t size, uint64_t inode);
} attach_events;
attachment *monitor_attach(monitor *m, const char *session, unsigned what, const attach_events *ev,
                           void *arg);
bool attach_stdin(attachment *a, const char *p,
                  size_t n); /* false: wait for on_stdin_drain (p was taken) */
void attach_stdin_eof(
    attachment *a); /* closes the process's stdin where StdinOnce or exec says so */
void attach_pause(attachment *a, bool paused); /* the client is full: stop reading output */
void attach_free(attachment *a);               /* detach; no further callback */
void monitor_resize(monitor *m, const char *session, unsigned short rows, unsigned short cols,
                    void (*done)(void *arg, err *e), void *arg);

#endif
