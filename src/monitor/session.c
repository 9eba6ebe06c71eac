/* session.c - one process of the container with its stdio.
 *
 * Three flows meet here: output (pipe or terminal to log and clients), input (clients to pipe or
 * terminal), and the end (drain, then tell the clients).  One thread. */
#include "session.h"
#include "supervise.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum {
    PIPE_SIZE = 256 * 1024, /* fewer switches between the process and us: a third faster */
    READS_PER_TURN = 8,     /* of one stream, before others have their turn */
    TERMINAL_DRAIN_MAX =
        64 * 1024, /* what a terminal may still hold at the end of the drain time */
};

bool session_is_init(const session *s)
{
    return s->id[0] == '\0';
}

/* ---- output ---- */

static void check_drained(session *s)
{
    if (s->state != SESSION_EXITED || s->pending || s->out[0].fd >= 0 || s->out[1].fd >= 0)
        return;
    deadline_clear(&s->drain);
    s->state = SESSION_ENDED;
    for (client *c = s->clients, *next; c; c = next) {
        next = client_next(c);
        client_end(c, WIRE_END_DONE);
    }
    supervise_drained(s);
}

static void stream_ended(session *s, unsigned i)
{
    source_close(&s->out[i]);
    if (s->log)
        logfile_finish(s->log, i);
    check_drained(s);
}

static bool may_read(const session *s)
{
    return s->state >= SESSION_RUNNING && !s->pending && !(s->log && logfile_is_busy(s->log));
}

static void update_outputs(session *s)
{
    for (unsigned i = 0; i < COUNT(s->out); i++)
        source_want(&s->out[i], may_read(s) ? EPOLLIN : 0);
}

/* Give c to everyone; it stays pending while a client has not all of it. */
static void deliver(session *s, chunk *c)
{
    bool all = true;

    if (s->log)
        logfile_write(s->log, c->stream, c->data, c->len);
    for (client *cl = s->clients; cl; cl = client_next(cl))
        all = client_offer(cl, c) && all;
    if (all)
        chunk_put(c);
    else
        s->pending = c;
}

/* Read once; false when there is nothing more for now. */
static bool read_output(session *s, unsigned i)
{
    chunk *c = chunk_get();
    size_t room = s->is_final && s->left[i] < sizeof c->data ? s->left[i] : sizeof c->data;
    ssize_t n;

    do
        n = room ? read(s->out[i].fd, c->data, room) : 0;
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        bool later = n < 0 && errno == EAGAIN && !s->is_final;

        chunk_put(c);
        if (!later)
            stream_ended(s, i); /* a terminal says EIO at its end */
        return false;
    }
    if (s->is_final)
        s->left[i] -= (size_t)n;
    c->len = (size_t)n;
    c->stream = i;
    deliver(s, c);
    return true;
}

static void read_turn(session *s, unsigned i)
{
    supervise_active();
    for (int n = 0; n < READS_PER_TURN && s->out[i].fd >= 0 && may_read(s); n++) {
        if (!read_output(s, i))
            break;
    }
    update_outputs(s);
}

static void on_stdout(void *owner, uint32_t events)
{
    (void)events;
    read_turn(owner, 0);
}

static void on_stderr(void *owner, uint32_t events)
{
    (void)events;
    read_turn(owner, 1);
}

/* Is some client still to take part of the pending chunk? */
void session_client_took(session *s)
{
    bool all = true;

    for (client *c = s->clients; c; c = client_next(c))
        all = all && !client_owes(c);
    if (!all || !s->pending)
        return;
    chunk_put(s->pending);
    s->pending = NULL;
    update_outputs(s);
    check_drained(s);
}

void session_resume(session *s)
{
    update_outputs(s);
}

/* ---- input ---- */

bool session_takes_stdin(const session *s)
{
    bool terminal_to_come = (s->flags & WIRE_TTY) && s->state < SESSION_RUNNING && s->in.fd < 0;

    return !s->stdin_pending && !terminal_to_come;
}

static void update_clients(session *s)
{
    for (client *c = s->clients; c; c = client_next(c))
        client_update(c);
}

/* Write what is pending; what nobody will ever read is dropped. */
static void push_stdin(session *s)
{
    chunk *c = s->stdin_pending;

    while (s->in.fd >= 0 && c->at < c->len) {
        ssize_t n = write(s->in.fd, c->data + c->at, c->len - c->at);

        if (n < 0 && errno == EAGAIN) {
            source_want(&s->in, EPOLLOUT);
            return;
        }
        if (n < 0 && errno != EINTR)
            source_close(&s->in);
        c->at += n > 0 ? (size_t)n : 0;
    }
    s->stdin_pending = NULL;
    chunk_put(c);
    source_want(&s->in, 0);
    if (s->stdin_closing)
        source_close(&s->in);
}

static void on_stdin(void *owner, uint32_t events)
{
    session *s = owner;

    (void)events;
    if (s->stdin_pending)
        push_stdin(s);
    if (!s->stdin_pending)
        update_clients(s);
}

void session_stdin(session *s, chunk *c)
{
    supervise_active();
    s->stdin_pending = c;
    push_stdin(s);
}

/* A client's input ended.  On a terminal that says nothing: the end is typed there. */
void session_stdin_eof(session *s)
{
    if (!(s->flags & WIRE_STDIN_ONCE) || (s->flags & WIRE_TTY))
        return;
    s->stdin_closing = true;
    if (!s->stdin_pending)
        source_close(&s->in);
}

/* A client whose channel ends without WIRE_STDIN_EOF belonged to a daemon that died: that is not
 * the end of the input, the next daemon's clients may go on. */
void session_client_left(session *s, client *c)
{
    client_unlink(&s->clients, c);
    session_client_took(s);
    supervise_check();
}

/* ---- life ---- */

static err *make_pipe(session *s, int i, source *ours, void (*ready)(void *, uint32_t))
{
    int ends[2];
    int mine = i == 0 ? 1 : 0; /* we write stdin and read the others */

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(errno, "pipe");
    s->theirs[i] = ends[!mine];
    if (fcntl(ends[mine], F_SETFL, O_NONBLOCK) < 0) {
        close(ends[mine]);
        return err_errno(errno, "pipe");
    }
    (void)fcntl(ends[mine], F_SETPIPE_SZ, PIPE_SIZE); /* at the host's limit it stays smaller */
    source_add(ours, ends[mine], 0, ready, s);
    return NULL;
}

static err *make_stdio(session *s)
{
    if (!(s->flags & WIRE_TTY)) {
        if (s->flags & WIRE_OPEN_STDIN)
            TRY(make_pipe(s, 0, &s->in, on_stdin));
        TRY(make_pipe(s, 1, &s->out[0], on_stdout));
    }
    /* With a terminal only the runtime itself writes here; that is its error text. */
    return make_pipe(s, 2, &s->out[1], on_stderr);
}

err *session_new(const session_opts *opts, session **ret)
{
    session *s = new0(session);
    err *e;

    s->id = xstrdup(opts->id);
    s->process = xstrdup(opts->process);
    s->flags = opts->flags;
    s->rows = opts->rows;
    s->cols = opts->cols;
    s->log = opts->log;
    s->pidfd = s->lease = -1;
    s->out[0] = s->out[1] = s->in = s->console = SOURCE_NONE;
    for (unsigned i = 0; i < COUNT(s->theirs); i++)
        s->theirs[i] = -1;
    e = make_stdio(s);
    if (e) {
        session_free(s);
        return e;
    }
    *ret = s;
    return NULL;
}

void session_hand_over(session *s)
{
    for (unsigned i = 0; i < COUNT(s->theirs); i++) {
        if (s->theirs[i] >= 0)
            close(s->theirs[i]);
        s->theirs[i] = -1;
    }
    if (s->lease >= 0)
        close(s->lease);
    s->lease = -1;
}

void session_resize(session *s, unsigned short rows, unsigned short cols)
{
    struct winsize size = {.ws_row = rows, .ws_col = cols};

    s->rows = rows;
    s->cols = cols;
    if ((s->flags & WIRE_TTY) && s->out[0].fd >= 0 && (rows || cols))
        (void)ioctl(s->out[0].fd, TIOCSWINSZ, &size);
}

void session_set_terminal(session *s, int master)
{
    int again = fcntl(master, F_DUPFD_CLOEXEC, 0);

    (void)fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK);
    source_add(&s->out[0], master, 0, on_stdout, s);
    if (again >= 0 && (s->flags & WIRE_OPEN_STDIN))
        source_add(&s->in, again, 0, on_stdin, s);
    else if (again >= 0)
        close(again);
    session_resize(s, s->rows, s->cols);
}

void session_run(session *s)
{
    s->state = SESSION_RUNNING;
    if (s->flags & WIRE_TTY)
        source_close(&s->out[1]); /* the runtime's own stderr */
    update_outputs(s);
    update_clients(s);
}

static void on_drain_over(void *owner)
{
    session *s = owner;

    s->is_final = true;
    for (unsigned i = 0; i < COUNT(s->out); i++) {
        int n = 0;

        if (s->flags & WIRE_TTY)
            s->left[i] = TERMINAL_DRAIN_MAX;
        else if (s->out[i].fd >= 0 && ioctl(s->out[i].fd, FIONREAD, &n) == 0)
            s->left[i] = (size_t)n;
    }
    supervise_announce(s);
    for (unsigned i = 0; i < COUNT(s->out); i++) {
        if (s->state == SESSION_EXITED && s->out[i].fd >= 0)
            read_turn(s, i);
    }
}

void session_exited(session *s)
{
    s->state = SESSION_EXITED;
    source_close(&s->in);
    deadline_set(&s->drain, SESSION_DRAIN_MS, on_drain_over, s);
    check_drained(s);
}

void session_abandon(session *s)
{
    s->log = NULL; /* what is in the pipes is the runtime's error text */
    source_close(&s->in);
    source_close(&s->out[0]);
    source_close(&s->out[1]);
    s->state = SESSION_EXITED;
    s->announced = true;
    check_drained(s);
}

void session_free(session *s)
{
    if (!s)
        return;
    for (client *c = s->clients, *next; c; c = next) {
        next = client_next(c);
        client_end(c, WIRE_END_DONE);
    }
    deadline_clear(&s->drain);
    deadline_clear(&s->runtime_limit);
    session_hand_over(s);
    source_close(&s->in);
    source_close(&s->out[0]);
    source_close(&s->out[1]);
    source_close(&s->console);
    chunk_put(s->pending);
    chunk_put(s->stdin_pending);
    if (s->pidfd >= 0)
        close(s->pidfd);
    free(s->pid_path);
    free(s->log_path);
    free(s->console_path);
    free(s->process);
    free(s->id);
    free(s);
}
