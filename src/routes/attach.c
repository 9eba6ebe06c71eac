/* attach.c - a client on the stdio of a container or of an exec, over a hijacked connection.
 *
 * One bridge joins a hijacked stream and a process: output frames go down as they are (without
 * their header on a tty), typed bytes go up, each side paused while the other is full.  Whichever
 * side ends first ends the bridge, once.  Loop thread only. */
#include "detach.h"
#include "routes.h"
#include <berth/exec.h>
#include <berth/loop.h>
#include <berth/logs.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>

enum { FRAME_HEADER = 8 };

typedef struct bridge {
    stream *s;    /* NULL once it has stopped */
    container *c; /* referenced */
    exec *exec;   /* NULL for the container itself */
    container_client *client;
    exec_client *exec_client;
    log_reader *logs; /* replays the log before the live output */
    detach_keys detach;
    log_query replay;
    bool replay_due; /* and where the log ends for us is not known yet */
    bool tty, stdin_open, live, ended;
} bridge;

static void bridge_free(void *arg)
{
    bridge *b = arg;

    container_unref(b->c);
    free(b);
}

/* The process side is let go; the memory goes when the client side has stopped too. */
static void process_let_go(bridge *b)
{
    client_free(take(b->client));
    exec_client_free(take(b->exec_client));
    log_reader_free(take(b->logs));
}

static void bridge_end(bridge *b)
{
    if (b->ended)
        return;
    b->ended = true;
    process_let_go(b);
    if (b->s)
        stream_end(b->s);
}

/* ---- from the process ---- */

static void process_pause(bridge *b, bool paused)
{
    if (b->client)
        client_pause(b->client, paused);
    if (b->exec_client)
        exec_pause(b->exec_client, paused);
}

static void on_output(void *arg, const char *frame, size_t n)
{
    bridge *b = arg;
    size_t skip = b->tty ? FRAME_HEADER : 0;

    if (!b->ended && !stream_write(b->s, frame + skip, n - skip))
        process_pause(b, true);
}

/* An exec that could not start says so in its own stream, on stdout, as dockerd does. */
static void say_error(bridge *b, const err *e)
{
    auto_buf text = {0};
    unsigned char header[FRAME_HEADER] = {1};

    buf_printf(&text, "%s\r\n", err_message(e));
    for (int i = 0; i < 4; i++)
        header[4 + i] = (unsigned char)(text.len >> (24 - 8 * i));
    stream_write2(b->s, header, b->tty ? 0 : FRAME_HEADER, text.data, text.len);
}

static void replay(bridge *b, log_position until);

static void on_end(void *arg, err *e)
{
    bridge *b = arg;

    if (b->replay_due && !b->ended) { /* its end came first: the log is all there is */
        err_free(e);
        client_free(take(b->client));
        b->live = false;
        replay(b, (log_position){0});
        return;
    }
    if (e && !b->ended)
        say_error(b, e);
    err_free(e);
    bridge_end(b);
}

static void on_stdin_drain(void *arg)
{
    bridge *b = arg;

    if (!b->ended)
        stream_read_pause(b->s, false);
}

static void on_log_position(void *arg, int64_t size, uint64_t inode)
{
    bridge *b = arg;

    b->replay_due = false;
    if (!b->ended && inode)
        replay(b, (log_position){size, inode});
}

static const attach_events process_events = {on_output, on_end, on_stdin_drain, on_log_position};

/* ---- from the client ---- */

static void on_pull(void *arg, stream *s)
{
    bridge *b = arg;

    (void)s;
    if (b->logs)
        log_reader_resume(b->logs);
    else
        process_pause(b, false);
}

static void on_stop(void *arg)
{
    bridge *b = arg;

    b->s = NULL;
    if (!b->ended && b->tty && b->live)
        container_event(b->c, b->exec ? "exec_detach" : "detach", NULL);
    b->ended = true;
    process_let_go(b);
    bridge_free(b);
}

static void detach(bridge *b)
{
    if (b->exec)
        container_event(b->c, "exec_detach", "execID", exec_id(b->exec), NULL);
    else
        container_event(b->c, "detach", NULL);
    bridge_end(b);
}

static void on_typed(void *arg, const char *p, size_t n)
{
    bridge *b = arg;
    auto_buf keys = {0};
    bool leave = false, flows = true;

    if (b->ended || !b->stdin_open)
        return;
    if (b->tty) {
        leave = detach_keys_feed(&b->detach, p, n, &keys);
        p = keys.data;
        n = keys.len;
    }
    if (n)
        flows = b->exec ? exec_stdin(b->exec_client, p, n) : client_stdin(b->client, p, n);
    if (leave)
        detach(b);
    else if (!flows)
        stream_read_pause(b->s, true);
}

static void on_typed_eof(void *arg)
{
    bridge *b = arg;

    if (b->ended || !b->stdin_open)
        return;
    b->stdin_open = false;
    if (b->exec)
        exec_stdin_eof(b->exec_client);
    else
        client_stdin_eof(b->client);
}

static const hijack_ops bridge_ops = {{on_pull, on_stop}, on_typed, on_typed_eof};

static void hijack(bridge *b, request *r)
{
    bool framed = !b->tty && request_upgrades(r) && request_version(r) >= 42;

    b->s = reply_hijack(r,
                        framed ? "application/vnd.docker.multiplexed-stream"
                               : "application/vnd.docker.raw-stream",
                        &bridge_ops, b);
}

/* ---- attach ---- */

static bool on_log_data(void *arg, const char *p, size_t n)
{
    return stream_write(((bridge *)arg)->s, p, n);
}

static void on_log_end(void *arg, err *e)
{
    bridge *b = arg;

    if (e)
        err_log(e, "log could not be replayed");
    log_reader_free(take(b->logs));
    if (b->live)
        process_pause(b, false);
    else
        bridge_end(b);
}

static const log_reader_events log_events = {on_log_data, on_log_end};

/* What was logged before we came; the live output waits at the monitor meanwhile. */
static void replay(bridge *b, log_position until)
{
    b->replay_due = false;
    b->replay.stop = until;
    process_pause(b, true);
    b->logs = log_reader_new(container_log_path(b->c), &b->replay, &log_events, b);
}

static unsigned streams_asked(const request *r)
{
    return (request_query_bool(r, "stdin", false) ? ATTACH_STDIN : 0) |
           (request_query_bool(r, "stdout", false) ? ATTACH_STDOUT : 0) |
           (request_query_bool(r, "stderr", false) ? ATTACH_STDERR : 0);
}

void attach_container(request *r)
{
    detach_keys keys;
    container *c = NULL;
    bridge *b;
    unsigned what = streams_asked(r);
    err *e = container_find(request_param(r, "id"), &c);

    if (!e && container_is_restarting(c))
        e = container_check_runs(c);
    if (!e && container_is_paused(c))
        e = err_new(ERR_CONFLICT, "container %s is paused, unpause the container before attach",
                    container_id(c));
    if (!e)
        e = detach_keys_parse(request_query(r, "detachKeys"), &keys);
    if (e) {
        reply_error(r, e);
        return;
    }
    b = new0(bridge);
    b->c = container_ref(c);
    b->tty = container_has_tty(c);
    b->detach = keys;
    b->live = request_query_bool(r, "stream", false);
    b->stdin_open = b->live && (what & ATTACH_STDIN) && container_config_of(c)->open_stdin;
    b->replay_due = request_query_bool(r, "logs", false);
    b->replay = (log_query){
        .out = what & ATTACH_STDOUT, .err = what & ATTACH_STDERR, .framed = !b->tty, .tail = -1};
    if (!b->stdin_open)
        what &= ~(unsigned)ATTACH_STDIN;
    hijack(b, r);
    container_event(c, "attach", NULL);
    if (b->live)
        b->client =
            container_attach(c, what | (b->replay_due ? ATTACH_REPLAY : 0), &process_events, b);
    else if (b->replay_due)
        replay(b, (log_position){0});
    else
        bridge_end(b);
}

/* ---- exec start ---- */

static void on_detached(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 200);
}

static void start_exec_attached(request *r, exec *x, const exec_start_options *opts,
                                const detach_keys *keys)
{
    const exec_config *config = exec_config_of(x);
    bridge *b = new0(bridge);

    b->c = container_ref(exec_container(x));
    b->exec = x;
    b->tty = opts->tty; /* whether it is framed is the start's to say, as with dockerd */
    b->detach = *keys;
    b->live = true;
    b->stdin_open = config->attach_stdin;
    hijack(b, r);
    b->exec_client = exec_start_attached(x, opts, &process_events, b);
}

void start_exec(request *r)
{
    exec_start_options opts = {0};
    detach_keys keys;
    exec *x = NULL;
    err *e = request_json(r, &exec_start_options_json, true, &opts);

    if (!e)
        e = exec_find(request_param(r, "id"), &x);
    if (!e)
        e = exec_may_start(x);
    if (!e)
        e = detach_keys_parse(exec_config_of(x)->detach_keys, &keys);
    if (e)
        reply_error(r, e);
    else if (opts.detach)
        exec_start_detached(x, &opts, on_detached, r);
    else
        start_exec_attached(r, x, &opts, &keys);
}
