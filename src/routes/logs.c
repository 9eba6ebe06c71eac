/* logs.c - GET /containers/{id}/logs: the log file as a pulled stream.
 *
 * The reader works in the log's own time; the client's socket pulls.  With follow the stream ends
 * at the container's next exit, or when the container is removed.  Loop thread only. */
#include "routes.h"
#include <berth/logs.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

typedef struct following {
    stream *s;
    log_reader *reader;
    container_wait *exit;
} following;

static bool on_data(void *arg, const char *p, size_t n)
{
    return stream_write(((following *)arg)->s, p, n);
}

/* Headers have left: an error can only break the stream off. */
static void on_end(void *arg, err *e)
{
    following *f = arg;

    if (e) {
        err_log(e, "log could not be read");
        stream_abort(f->s);
    } else {
        stream_end(f->s);
    }
}

static const log_reader_events reader_events = {on_data, on_end};

static void on_exit_seen(void *arg, int status, const char *error)
{
    following *f = arg;

    (void)status, (void)error;
    f->exit = NULL;
    log_reader_finish(f->reader);
}

static void on_pull(void *arg, stream *s)
{
    (void)s;
    log_reader_resume(((following *)arg)->reader);
}

static void on_stop(void *arg)
{
    following *f = arg;

    container_wait_cancel(f->exit);
    log_reader_free(f->reader);
    free(f);
}

static const stream_ops logs_ops = {on_pull, on_stop};

static err *time_asked(request *r, const char *name, int64_t *ret_ns)
{
    const char *text = request_query(r, name);

    if (str_empty(text) || str_eq(text, "0"))
        return NULL;
    return err_wrap(time_parse_filter(text, time_now_ns(), ret_ns), "invalid value for \"%s\"",
                    name);
}

static err *query_of(request *r, const container *c, log_query *q)
{
    const char *tail = str_or(request_query(r, "tail"), "all");
    int64_t n;

    *q = (log_query){.out = request_query_bool(r, "stdout", false),
                     .err = request_query_bool(r, "stderr", false),
                     .follow = request_query_bool(r, "follow", false) && container_is_running(c),
                     .timestamps = request_query_bool(r, "timestamps", false),
                     .details = request_query_bool(r, "details", false),
                     .framed = !container_has_tty(c),
                     .tail = -1};
    if (!q->out && !q->err)
        return err_new(ERR_INVALID, "Bad parameters: you must choose at least one stream");
    if (str_to_int64(tail, &n) && n >= 0)
        q->tail = n;
    TRY(time_asked(r, "since", &q->since_ns));
    if (request_version(r) >= 35)
        TRY(time_asked(r, "until", &q->until_ns));
    return NULL;
}

void stream_logs(request *r)
{
    container *c = NULL;
    following *f;
    log_query q;
    bool framed;
    err *e = container_find(request_param(r, "id"), &c);

    if (!e)
        e = query_of(r, c, &q);
    if (!e && str_empty(container_log_path(c)))
        e = err_new(ERR_UNSUPPORTED, "configured logging driver does not support reading");
    if (e) {
        reply_error(r, e);
        return;
    }
    f = new0(following);
    framed = q.framed && request_version(r) >= 42;
    f->reader = log_reader_new(container_log_path(c), &q, &reader_events, f);
    if (q.follow)
        f->exit = container_wait_for(c, WAIT_NEXT_EXIT, on_exit_seen, f);
    f->s = reply_stream(r, 200,
                        framed ? "application/vnd.docker.multiplexed-stream"
                               : "application/vnd.docker.raw-stream",
                        &logs_ops, f);
}
