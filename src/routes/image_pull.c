/* image_pull.c - POST /images/create of an image in a registry: progress as it happens.
 *
 * What fails before the first message is an answer with its status, what fails later is told in the
 * stream.  A client that does not read loses numbers, never a status.  Loop thread only. */
#include "routes.h"
#include <berth/image.h>
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

typedef struct pulling {
    request *r; /* NULL once it is answered */
    stream *s;  /* once something was said */
    image_pull *pull;
    bool full; /* the client does not keep up */
} pulling;

static void on_pull(void *arg, stream *s)
{
    (void)s;
    ((pulling *)arg)->full = false;
}

/* The client is gone, or all is said. */
static void on_stop(void *arg)
{
    pulling *p = arg;

    if (p->pull)
        image_pull_leave(p->pull);
    free(p);
}

static const stream_ops said_ops = {on_pull, on_stop};

static void on_said(void *arg, const char *json)
{
    pulling *p = arg;

    if (!p->s) {
        p->s = reply_stream(p->r, 200, "application/json", &said_ops, p);
        p->r = NULL;
    }
    if (p->full && strstr(json, "\"progressDetail\":{\"current\""))
        return;
    p->full = !stream_write2(p->s, json, strlen(json), "\r\n", 2);
}

static void on_end(void *arg, err *e)
{
    pulling *p = arg;

    p->pull = NULL;
    if (!p->s) {
        request_on_gone(p->r, NULL, NULL);
        if (e)
            reply_error(p->r, e);
        else
            reply_empty(p->r, 200);
        free(p);
        return;
    }
    if (e)
        route_stream_error(p->s, e);
    stream_end(p->s);
}

static const pull_events events = {on_said, on_end};

static void on_gone(void *arg)
{
    pulling *p = arg;

    if (p->s || !p->pull)
        return;
    image_pull_leave(p->pull);
    reply_error(p->r, err_new(ERR_CANCELLED, "the client closed the connection"));
    free(p);
}

/* No tag and no digest means every tag that there is. */
static err *check_one_tag(const char *name, const char *tag)
{
    reference ref = {0};
    err *e = NULL;

    if (!str_empty(tag) || str_ends(name, ":"))
        return NULL;
    e = reference_parse(name, &ref);
    if (!e && !ref.tag && !ref.digest)
        e = err_new(ERR_UNSUPPORTED,
                    "pulling all tags of a repository is not supported: name a tag");
    reference_done(&ref);
    return e;
}

void pull_image(request *r)
{
    pulling *p = new0(pulling);
    pull_opts opts = {.image = request_query(r, "fromImage"),
                      .tag = str_or(request_query(r, "tag"), ""),
                      .platform =
                          request_version(r) < 32 ? "" : str_or(request_query(r, "platform"), ""),
                      .auth = request_header(r, "X-Registry-Auth")};
    err *e = check_one_tag(opts.image, opts.tag);

    p->r = r;
    if (!e) {
        request_on_gone(r, on_gone, p);
        e = image_pull_begin(&opts, &events, p, &p->pull);
    }
    if (e) {
        request_on_gone(r, NULL, NULL);
        free(p);
        reply_error(r, e);
    }
}
