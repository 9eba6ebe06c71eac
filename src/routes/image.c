/* image.c - the image router: what is here of it.  Loop thread only. */
#include "routes.h"
#include <berth/image.h>
#include <berth/mem.h>
#include <berth/route.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

/* Before 1.41 a pattern of names had a parameter of its own. */
static const char *filters_text(request *r)
{
    const char *text = str_or(request_query(r, "filters"), "{}"),
               *name = request_query(r, "filter");
    const char *rest = text + strspn(text, " \t\r\n");
    auto_buf quoted = {0};

    if (request_version(r) > 40 || str_empty(name) || *rest != '{')
        return text;
    rest += 1 + strspn(rest + 1, " \t\r\n");
    json_quote(name, &quoted);
    return arena_printf(request_arena(r), "{\"reference\":[%s]%s%s", quoted.data,
                        *rest == '}' ? "" : ",", rest);
}

static void list_images(request *r)
{
    static const char *const keys[] = {"before", "dangling", "label", "reference",
                                       "since",  "until",    NULL};
    arena *a = request_arena(r);
    image_summary *list = NULL;
    filters *f = NULL;
    size_t n = 0;
    auto_buf text = {0};
    err *e = filters_parse(filters_text(r), keys, a, &f);

    if (!e)
        e = images_list(f, request_query_bool(r, "all", false),
                        request_query_bool(r, "shared-size", false), request_version(r), a, &list,
                        &n);
    if (e) {
        reply_error(r, e);
        return;
    }
    json_encode_list(&image_summary_json, list, n, request_version(r), &text);
    buf_char(&text, '\n');
    reply_bytes(r, 200, "application/json", text.data, text.len);
}

static void inspect_image(request *r)
{
    image_inspect *out;
    image *img = NULL;
    err *e = image_find(request_param(r, "name"), &img);

    if (e) {
        reply_error(r, e);
        return;
    }
    out = arena_alloc(request_arena(r), sizeof(*out));
    image_inspected(img, request_arena(r), out);
    reply_json(r, 200, &image_inspect_json, out);
}

static void show_history(request *r)
{
    image *img = NULL;
    json_list list = {0};
    auto_buf text = {0};
    err *e = image_find(request_param(r, "name"), &img);

    if (e) {
        reply_error(r, e);
        return;
    }
    image_histories(img, request_arena(r), &list);
    json_encode_list(&image_history_item_json, list.v, list.n, request_version(r), &text);
    buf_char(&text, '\n');
    reply_bytes(r, 200, "application/json", text.data, text.len);
}

static void on_tagged(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 201);
}

static void tag_image(request *r)
{
    image *img = NULL;
    err *e = image_find(request_param(r, "name"), &img);

    if (e)
        reply_error(r, e);
    else
        image_tag(img, str_or(request_query(r, "repo"), ""), request_query(r, "tag"), on_tagged, r);
}

static void on_removed(void *arg, err *e, const json_list *list)
{
    request *r = arg;
    auto_buf text = {0};

    if (e) {
        reply_error(r, e);
        return;
    }
    json_encode_list(&image_deleted_json, list->v, list->n, request_version(r), &text);
    buf_char(&text, '\n');
    reply_bytes(r, 200, "application/json", text.data, text.len);
}

static void remove_image(request *r)
{
    image_remove(request_param(r, "name"), request_query_bool(r, "force", false),
                 request_query_bool(r, "noprune", false), request_arena(r), on_removed, r);
}

static void on_pruned(void *arg, err *e, const images_pruned *pruned)
{
    if (e)
        reply_error(arg, e);
    else
        reply_json(arg, 200, &images_pruned_json, pruned);
}

static void prune_images(request *r)
{
    static const char *const keys[] = {"dangling", "label", "label!", "until", NULL};
    filters *f = NULL;
    err *e = filters_parse(request_query(r, "filters"), keys, request_arena(r), &f);

    if (!e)
        e = images_prune(f, on_pruned, r);
    if (e)
        reply_error(r, e);
}

/* ---- import and load: a body in, a stream of messages out ---- */

typedef struct taking {
    request *r; /* NULL once it is answered */
    stream *s;  /* once something was said */
    image_intake *intake;
    bool quiet;
} taking;

static void on_pull(void *arg, stream *s)
{
    (void)arg, (void)s;
}

/* The client is gone, or all is said. */
static void on_stop(void *arg)
{
    taking *t = arg;

    if (t->intake)
        intake_cancel(t->intake);
    free(t);
}

static const stream_ops said_ops = {on_pull, on_stop};

static void say(taking *t, const char *key, const char *value)
{
    auto_buf line = {0};

    if (!t->s) {
        t->s = reply_stream(t->r, 200, "application/json", &said_ops, t);
        t->r = NULL;
    }
    buf_printf(&line, "{\"%s\":", key);
    json_quote(value, &line);
    buf_str(&line, "}\r\n");
    stream_write(t->s, line.data, line.len);
}

static void on_drain(void *arg)
{
    taking *t = arg;

    if (t->r)
        request_body_pause(t->r, false);
}

static void on_said(void *arg, const char *line)
{
    say(arg, "stream", line);
}

void route_stream_error(stream *s, err *e)
{
    auto_buf line = {0};

    buf_str(&line, "{\"errorDetail\":{\"message\":");
    json_quote(err_message(e), &line);
    buf_str(&line, "},\"error\":");
    json_quote(err_message(e), &line);
    buf_str(&line, "}\r\n");
    stream_write(s, line.data, line.len);
    err_free(e);
}

static void on_end(void *arg, err *e, const char *id)
{
    taking *t = arg;

    t->intake = NULL;
    if (t->r && e) { /* nothing was said: an error is an answer */
        request_body_drop(t->r);
        request_on_gone(t->r, NULL, NULL);
        reply_error(take(t->r), e);
        free(t);
    } else if (e) {
        route_stream_error(t->s, e);
        stream_end(t->s);
    } else {
        if (*id)
            say(t, "status", id);
        stream_end(t->s);
    }
}

static const intake_events taking_events = {on_drain, on_said, on_end};

static void on_body(void *arg, const char *p, size_t n)
{
    taking *t = arg;

    if (t->intake && !intake_write(t->intake, p, n) && t->r)
        request_body_pause(t->r, true);
}

static void on_body_end(void *arg, err *e)
{
    taking *t = arg;

    if (!t->intake || !t->r) {
        err_free(e);
        return;
    }
    if (!e) {
        intake_end(t->intake);
        return;
    }
    intake_cancel(take(t->intake));
    request_on_gone(t->r, NULL, NULL);
    reply_error(take(t->r), e);
    free(t);
}

static const body_sink taking_sink = {on_body, on_body_end};

static void on_gone(void *arg)
{
    taking *t = arg;

    if (!t->intake || !t->r)
        return;
    intake_cancel(take(t->intake));
    request_body_drop(t->r);
    reply_error(take(t->r), err_new(ERR_CANCELLED, "the client closed the connection"));
    free(t);
}

static void take_body(request *r, taking *t, err *e)
{
    if (e) {
        free(t);
        reply_error(r, e);
        return;
    }
    t->r = r;
    request_on_gone(r, on_gone, t);
    request_body_read(r, &taking_sink, t);
}

static void load_images(request *r)
{
    taking *t = new0(taking);

    take_body(r, t, image_load(&taking_events, t, &t->intake));
}

static void import_image(request *r)
{
    taking *t = new0(taking);
    json_strs changes = {0};
    const char *change;
    import_opts opts = {.repo = str_or(request_query(r, "repo"), ""),
                        .tag = str_or(request_query(r, "tag"), ""),
                        .message = str_or(request_query(r, "message"), ""),
                        .platform =
                            request_version(r) < 32 ? "" : str_or(request_query(r, "platform"), ""),
                        .changes = &changes};

    for (size_t i = 0; (change = request_query_nth(r, "changes", i)); i++)
        json_strs_add(&changes, request_arena(r), change);
    take_body(r, t, image_import(&opts, &taking_events, t, &t->intake));
}

static void create_image(request *r)
{
    const char *from = str_or(request_query(r, "fromSrc"), "");

    if (!str_empty(request_query(r, "fromImage")))
        pull_image(r);
    else if (!str_eq(from, "-"))
        reply_error(
            r, err_new(ERR_UNSUPPORTED,
                       "fromSrc=%s is not supported: send the archive as the body, with fromSrc=-",
                       from));
    else
        import_image(r);
}

const route image_routes[] = {
    {GET, "/images/json", list_images, 0},
    {POST, "/images/create", create_image, BODY_STREAM},
    {POST, "/images/load", load_images, BODY_STREAM},
    {POST, "/images/prune", prune_images, SINCE(25)},
    {GET, "/images/{name...}/json", inspect_image, 0},
    {GET, "/images/{name...}/history", show_history, 0},
    {POST, "/images/{name...}/tag", tag_image, 0},
    {DELETE, "/images/{name...}", remove_image, 0},
    {0},
};
