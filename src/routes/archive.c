/* archive.c - HEAD, GET and PUT of /containers/{id}/archive, and export.
 *
 * The answer's head waits for the helper's word on the path; the body then is the helper's output
 * as it comes, or its input as the client sends it.  Loop thread only. */
#include "routes.h"
#include <berth/archive.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

typedef struct moving {
    request *r; /* NULL once it is answered */
    stream *s;
    archiving *a;
    archive_operation operation;
} moving;

/* ---- base64 of the stat ---- */

static void add_base64(const char *text, buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)text[i] << 16 |
                     (i + 1 < n ? (unsigned)(unsigned char)text[i + 1] << 8 : 0) |
                     (i + 2 < n ? (unsigned)(unsigned char)text[i + 2] : 0);

        buf_char(out, digits[v >> 18]);
        buf_char(out, digits[v >> 12 & 63]);
        buf_char(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_char(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

/* ---- the answer ---- */

static void on_pull(void *arg, stream *s)
{
    moving *m = arg;

    (void)s;
    if (m->a)
        archive_resume(m->a);
}

/* The client is gone, or all is sent. */
static void on_stop(void *arg)
{
    moving *m = arg;

    if (m->a)
        archive_cancel(m->a);
    free(m);
}

static const stream_ops tar_ops = {on_pull, on_stop};

static void begin_stream(moving *m, const char *type)
{
    request_on_gone(m->r, NULL, NULL);
    m->s = reply_stream(take(m->r), 200, type, &tar_ops, m);
}

static void on_stat(void *arg, const char *json)
{
    moving *m = arg;
    auto_buf text = {0};

    if (!m->r || m->operation == ARCHIVE_PUT || m->operation == ARCHIVE_EXPORT)
        return;
    add_base64(json, &text);
    reply_header(m->r, "X-Docker-Container-Path-Stat", text.data);
    if (m->operation == ARCHIVE_GET)
        begin_stream(m, "application/x-tar");
}

static bool on_data(void *arg, const char *p, size_t n)
{
    moving *m = arg;

    if (m->r)
        begin_stream(m, m->operation == ARCHIVE_EXPORT ? "application/octet-stream"
                                                       : "application/x-tar");
    return !m->s || stream_write(m->s, p, n);
}

static void on_drain(void *arg)
{
    moving *m = arg;

    if (m->r)
        request_body_pause(m->r, false);
}

static void on_end(void *arg, err *e)
{
    moving *m = arg;

    m->a = NULL;
    if (m->s && e) {
        err_log(e, "an archive broke off");
        stream_abort(m->s);
    } else if (m->s) {
        stream_end(m->s);
    } else {
        request_on_gone(m->r, NULL, NULL);
        if (m->operation == ARCHIVE_PUT)
            request_body_drop(m->r);
        if (e)
            reply_error(m->r, e);
        else
            reply_empty(m->r, 200);
        free(m);
    }
}

static const archive_events events = {on_stat, on_data, on_drain, on_end};

static void on_gone(void *arg)
{
    moving *m = arg;

    if (m->a)
        archive_cancel(take(m->a));
    if (m->operation == ARCHIVE_PUT)
        request_body_drop(m->r);
    reply_error(m->r, err_new(ERR_CANCELLED, "the client closed the connection"));
    free(m);
}

/* ---- the body ---- */

static void on_body(void *arg, const char *p, size_t n)
{
    moving *m = arg;

    if (m->a && m->r && !archive_write(m->a, p, n))
        request_body_pause(m->r, true);
}

static void on_body_end(void *arg, err *e)
{
    moving *m = arg;

    if (!m->a || !m->r) {
        err_free(e);
        return;
    }
    if (!e) {
        archive_write_end(m->a);
        return;
    }
    archive_cancel(take(m->a));
    request_on_gone(m->r, NULL, NULL);
    reply_error(m->r, e);
    free(m);
}

static const body_sink put_sink = {on_body, on_body_end};

/* A put takes its body once the helper has looked at the path. */
static void on_put_stat(void *arg, const char *json)
{
    moving *m = arg;

    (void)json;
    if (m->r)
        request_body_read(m->r, &put_sink, m);
}

static const archive_events put_events = {on_put_stat, NULL, on_drain, on_end};

static void move(request *r, const archive_opts *o)
{
    container *c = NULL;
    moving *m;
    err *e = container_find(request_param(r, "id"), &c);

    if (!e && o->operation != ARCHIVE_EXPORT && str_empty(o->path))
        e = err_new(ERR_INVALID, "bad parameter: 'path' cannot be empty");
    if (e) {
        reply_error(r, e);
        return;
    }
    m = new0(moving);
    m->r = r;
    m->operation = o->operation;
    request_on_gone(r, on_gone, m);
    m->a = archive_begin(c, o, o->operation == ARCHIVE_PUT ? &put_events : &events, m);
}

static void stat_path(request *r)
{
    move(r,
         &(archive_opts){.operation = ARCHIVE_STAT, .path = str_or(request_query(r, "path"), "")});
}

static void get_archive(request *r)
{
    move(r,
         &(archive_opts){.operation = ARCHIVE_GET, .path = str_or(request_query(r, "path"), "")});
}

static void put_archive(request *r)
{
    move(r, &(archive_opts){.operation = ARCHIVE_PUT,
                            .path = str_or(request_query(r, "path"), ""),
                            .keep_kinds = request_query_bool(r, "noOverwriteDirNonDir", false),
                            .own = request_query_bool(r, "copyUIDGID", false)});
}

static void export_container(request *r)
{
    move(r, &(archive_opts){.operation = ARCHIVE_EXPORT, .path = ""});
}

static void on_changes(void *arg, err *e, const char *json)
{
    if (e)
        reply_error(arg, e);
    else
        reply_bytes(arg, 200, "application/json", json, strlen(json));
}

static void list_changes(request *r)
{
    container *c = route_container(r);

    if (c)
        container_changes(c, on_changes, r);
}

const route archive_routes[] = {
    {HEAD, "/containers/{id}/archive", stat_path, 0},
    {GET, "/containers/{id}/archive", get_archive, 0},
    {PUT, "/containers/{id}/archive", put_archive, BODY_STREAM},
    {GET, "/containers/{id}/export", export_container, 0},
    {GET, "/containers/{id}/changes", list_changes, 0},
    {0},
};
