/* monitor_wire.h - what berthd and berth-monitor say to each other.
 *
 * All sockets are AF_UNIX SOCK_SEQPACKET.  On the control connection every message is: type (1
 * byte), 3 bytes of zero, the request's number (u32), then fields in the order listed below:
 * integers as u64, strings as u32 length, bytes, NUL.  Host byte order: both ends live in one
 * kernel.  An attach channel is one half of a socketpair, sent along with WIRE_ATTACH; what the
 * monitor sends there are whole Docker stream frames (first byte 1 or 2) and at last WIRE_END; what
 * the daemon sends is WIRE_STDIN.
 *
 * A field is only ever added at the end of a message, and a reader takes a missing one as 0 or "":
 * so a monitor that is older or younger than the daemon is served.  Any thread. */
#ifndef BERTH_MONITOR_WIRE_H
#define BERTH_MONITOR_WIRE_H

#include <berth/buf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    WIRE_VERSION = 1,
    WIRE_CONTROL_FD = 3,           /* where a spawned monitor finds its control connection */
    WIRE_HEADER = 8,               /* bytes before the fields, and of a Docker stream frame */
    WIRE_FRAME_MAX = 32 * 1024,    /* payload of one stream frame */
    WIRE_STDIN_MAX = 32 * 1024,    /* payload of one WIRE_STDIN */
    WIRE_CONTROL_MAX = 160 * 1024, /* a whole control message (labels in the log's attrs) */
};

#define WIRE_SOCKET_NAME "monitor.sock" /* in the run directory */
#define WIRE_PID_NAME    "monitor.pid"

enum wire_type {
    /* daemon to monitor */
    WIRE_HELLO = 16, /* version */
    WIRE_SPEC = 17,  /* see monitor_spec: id, run_dir, exit_path, bundle, runtime, args..., */
    WIRE_RUN = 18,   /* -; a descriptor for the runtime to hold: its end is the runtime's */
    WIRE_EXEC_PREPARE = 19, /* exec id, process path, flags, rows, cols */
    WIRE_EXEC_RUN = 20,     /* exec id */
    WIRE_ATTACH = 21,       /* session, what; one descriptor */
    WIRE_RESIZE = 22,       /* session, rows, cols */
    WIRE_ACK = 23,          /* session: its exit was taken note of */
    /* monitor to daemon */
    WIRE_STATE = 32,    /* version, monitor pid, init pid (0: not run), started ns, count, count x
                           (exec id,   pid); the pidfd of the init when it runs.  Answers WIRE_HELLO */
    WIRE_REPLY = 33,    /* enum wire_status, text, pid, started ns; a pidfd after a start */
    WIRE_EXIT = 34,     /* session, code, finished ns, flags */
    WIRE_TROUBLE = 35,  /* text: something the daemon should log */
    WIRE_REPLACED = 36, /* another daemon has connected; the last message here */
    /* attach channel */
    WIRE_STDIN = 48, /* type, then the bytes: only these 8 + n */
    WIRE_STDIN_EOF =
        49, /* also when a client leaves; a channel that just ends is a daemon's death */
    WIRE_LOG_AT =
        51,        /* size, inode of the log at the moment of attaching; first, where asked for */
    WIRE_END = 50, /* enum wire_end as the request number */
};

enum wire_status { WIRE_OK = 0, WIRE_FAILED = 1, WIRE_NO_SESSION = 2, WIRE_CONFLICT = 3 };
enum wire_end { WIRE_END_DONE = 0, WIRE_END_SLOW = 1, WIRE_END_REFUSED = 2 };
enum { WIRE_EXIT_OOM = 1, WIRE_EXIT_LOST = 2 };
enum {
    WIRE_TTY = 1,
    WIRE_OPEN_STDIN = 2,
    WIRE_STDIN_ONCE = 4,
    WIRE_HIDE_UNIFIED = 8,
    WIRE_COMPRESS = 16,
    WIRE_WANT_STDOUT = 32,
    WIRE_WANT_STDERR = 64,
};

static inline void wire_begin(buf *b, unsigned char type, uint32_t request)
{
    buf_truncate(b, 0);
    buf_add(b, (const unsigned char[4]){type}, 4);
    buf_add(b, &request, sizeof request);
}
static inline void wire_put_int(buf *b, int64_t value)
{
    buf_add(b, &value, sizeof value);
}
static inline void wire_put_str(buf *b, const char *s)
{
    uint32_t n = s ? (uint32_t)strlen(s) : 0;

    buf_add(b, &n, sizeof n);
    buf_add(b, s ? s : "", n + 1);
}

/* A received message.  Getters return 0 or "" behind the last field; bad is set when a field is
 * cut. */
typedef struct wire_in {
    const char *at, *end;
    uint32_t request;
    unsigned char type;
    bool bad;
} wire_in;

static inline wire_in wire_open(const char *p, size_t n)
{
    wire_in in = {.at = p, .end = p + n};

    if (n < WIRE_HEADER) {
        in.at = in.end;
        in.bad = true;
        return in;
    }
    in.type = (unsigned char)p[0];
    memcpy(&in.request, p + 4, sizeof in.request);
    in.at += WIRE_HEADER;
    return in;
}
static inline bool wire_take(wire_in *in, void *out, size_t n)
{
    if ((size_t)(in->end - in->at) < n) {
        in->bad = in->bad || in->at != in->end;
        in->at = in->end;
        return false;
    }
    memcpy(out, in->at, n);
    in->at += n;
    return true;
}
static inline int64_t wire_get_int(wire_in *in)
{
    int64_t value = 0;

    return wire_take(in, &value, sizeof value) ? value : 0;
}
static inline const char *wire_get_str(wire_in *in) /* points into the message */
{
    const char *s = NULL;
    uint32_t n = 0;

    if (!wire_take(in, &n, sizeof n))
        return "";
    if ((size_t)(in->end - in->at) <= n || in->at[n] != '\0' || memchr(in->at, '\0', n)) {
        in->bad = true;
        in->at = in->end;
        return "";
    }
    s = in->at;
    in->at += n + 1;
    return s;
}

#endif
