/* session.h - one process of the container with its stdio: the init, or an exec.
 *
 * Output is read in chunks; a chunk goes to the log and to every attached client, and nothing more
 * is read until the last of them has it.  So a client is its own back-pressure, bounded in time:
 * one that takes nothing for CLIENT_STALL_MS is dropped. */
#ifndef MONITOR_SESSION_H
#define MONITOR_SESSION_H

#include "chunk.h"
#include "events.h"
#include "logfile.h"
#include <berth/err.h>
#include <berth/monitor_wire.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CLIENT_STALL_MS = 2000,     /* a client that takes nothing for so long is dropped */
    CLIENT_BUFFER = 256 * 1024, /* what the kernel holds for a client */
    SESSION_DRAIN_MS = 2000,    /* after the exit, for output that others still hold open */
};

enum session_state {
    SESSION_PREPARED, /* stdio exists, the runtime was not called */
    SESSION_STARTING, /* the runtime works */
    SESSION_RUNNING,
    SESSION_EXITED, /* reaped; output may still come */
    SESSION_ENDED,  /* output is complete, clients were told */
};

typedef struct client client;
typedef struct session session;

typedef struct session_opts {
    const char *id;      /* "" for the init */
    const char *process; /* exec: path of its process JSON */
    unsigned flags;      /* WIRE_TTY, WIRE_OPEN_STDIN, WIRE_STDIN_ONCE, WIRE_WANT_* */
    unsigned short rows, cols;
    logfile *log; /* NULL: none; stays the caller's */
} session_opts;

struct session {
    session *next;
    char *id, *process;
    unsigned flags;
    unsigned short rows, cols;
    enum session_state state;
    logfile *log;

    source out[2];        /* [0] stdout or the terminal, [1] stderr */
    source in;            /* the writing side of stdin, or the terminal */
    int lease;            /* for the runtime to hold while it works, -1: none */
    int theirs[3];        /* the process's ends, until the runtime has them */
    chunk *pending;       /* output that some client still owes us to take */
    chunk *stdin_pending; /* input that the process still owes us to take */
    bool stdin_closing;   /* close stdin once stdin_pending is written */
    client *clients;

    pid_t runtime_pid;    /* while STARTING */
    uint32_t run_request; /* whose answer waits for the runtime */
    char *pid_path, *log_path, *console_path;
    source console; /* listens for the terminal from the runtime */

    pid_t pid;       /* 0: not running, or reaped */
    pid_t first_pid; /* the same, kept after the end */
    int pidfd;
    int64_t started_ns, finished_ns;
    int code;
    unsigned exit_flags;
    bool announced; /* its exit may be told: output is drained, or had its time */
    bool acked;     /* the daemon took note of it */
    deadline drain;
    deadline runtime_limit; /* while the runtime works on it */
    bool runtime_overdue;
    bool is_final; /* the drain time is over: read what is there and no more */
    size_t left[2];
};

/* Make stdio; nothing runs. */
must_check err *session_new(const session_opts *opts, session **ret);
void session_free(session *s);
bool session_is_init(const session *s);
void session_hand_over(session *s); /* the runtime has the process's ends: close ours of them */
void session_set_terminal(session *s, int master); /* takes master */
void session_resize(session *s, unsigned short rows, unsigned short cols);
void session_run(session *s);     /* started: begin to read */
void session_exited(session *s);  /* reaped: drain */
void session_abandon(session *s); /* it did not start: clients are told, nothing is logged */
void session_resume(session *s);  /* what held reading up may be gone */

/* Clients (client.c).  client_new takes fd. */
void client_new(session *s, int fd, unsigned what);
bool client_offer(client *c, const chunk *out); /* false: it does not have all of it yet */
void client_end(client *c, enum wire_end why);
void client_update(client *c); /* stdin may have become ready, or no longer is */
client *client_next(const client *c);
bool client_owes(const client *c); /* part of the pending chunk */
void client_unlink(client **list, const client *c);
/* What clients tell their session. */
void session_client_left(session *s, client *c);
void session_client_took(session *s);
bool session_takes_stdin(const session *s);
void session_stdin(session *s, chunk *c); /* takes c */
void session_stdin_eof(session *s);

#endif
