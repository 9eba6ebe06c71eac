/* stats.c - GET /containers/{id}/stats: a reading a second, or one.
 *
 * One reading has another one before it, a second ago, unless it is asked for as it is (one-shot).
 * A client that does not read misses readings.  Loop thread only. */
#include "routes.h"
#include <berth/mem.h>
#include <berth/stats.h>
#include <stdlib.h>

typedef struct watching {
    request *r; /* one answer; NULL when it streams */
    stream *s;
    stats_watch *watch;
    container *c;
    int api_version;
    bool one_shot, second, full, ended;
} watching;

static void watching_free(watching *w)
{
    stats_watch_end(w->watch);
    free(w);
}

/* ---- one ---- */

static void answer_once(watching *w, const stats_answer *answer)
{
    request *r = w->r;

    request_on_gone(r, NULL, NULL);
    if (answer)
        reply_json(r, 200, &stats_answer_json, answer);
    else
        reply_error(r, err_new(ERR_NOT_FOUND, "No such container: %s", request_param(r, "id")));
    watching_free(w);
}

static void on_seen_once(void *arg, const stats_answer *answer)
{
    watching *w = arg;

    if (!answer || w->one_shot || w->second || !container_is_running(w->c))
        answer_once(w, answer);
    else
        w->second = true;
}

static void on_gone(void *arg)
{
    watching *w = arg;
    request *r = w->r;

    watching_free(w);
    reply_error(r, err_new(ERR_CANCELLED, "the client closed the connection"));
}

/* ---- many ---- */

static void on_seen(void *arg, const stats_answer *answer)
{
    watching *w = arg;
    auto_buf line = {0};

    if (!answer && !w->ended) {
        w->ended = true;
        stream_end(w->s);
    }
    if (w->full || w->ended)
        return;
    json_encode(&stats_answer_json, answer, w->api_version, &line);
    buf_char(&line, '\n');
    w->full = !stream_write(w->s, line.data, line.len);
}

static void on_pull(void *arg, stream *s)
{
    (void)s;
    ((watching *)arg)->full = false;
}

static void on_stop(void *arg)
{
    watching_free(arg);
}

static const stream_ops stats_ops = {on_pull, on_stop};

void stream_stats(request *r)
{
    container *c = NULL;
    watching *w;
    err *e = container_find(request_param(r, "id"), &c);

    if (e) {
        reply_error(r, e);
        return;
    }
    w = new0(watching);
    w->c = c;
    w->api_version = request_version(r);
    if (request_query_bool(r, "stream", true)) {
        w->s = reply_stream(r, 200, "application/json", &stats_ops, w);
        w->watch = stats_watch_begin(c, on_seen, w);
        return;
    }
    w->r = r;
    w->one_shot = request_version(r) >= 41 && request_query_bool(r, "one-shot", false);
    request_on_gone(r, on_gone, w);
    w->watch = stats_watch_begin(c, on_seen_once, w);
}
