/* intake.c - bytes of a client's archive on their way to the unpacking helper.
 *
 * The helper's stdin is one end of a socket pair, so the client is read no faster than the helper
 * unpacks.  When the helper ends early (it refused the archive) the rest is dropped.  Loop thread
 * only, except where said. */
#include "intake.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNSENT_MAX = 256 << 10 };

image_intake *intake_new(const intake_events *ev, void *arg)
{
    image_intake *in = new0(image_intake);
    char id[65];

    str_random_id(id);
    in->ev = *ev;
    in->arg = arg;
    in->dir = xasprintf("%s/tmp/%.16s", images_root, id);
    return in;
}

static void intake_free(void *arg)
{
    image_intake *in = arg;

    buf_done(&in->waiting);
    free(in->dir);
    free(in);
}

err *intake_stage(image_intake *in, const char *name)
{
    auto_free char *path = xasprintf("%s/%s", in->dir, name);

    return tree_make(path, 0755);
}

err *intake_unstage(image_intake *in)
{
    return tree_remove(in->dir);
}

/* ---- the socket to the helper ---- */

static void on_feed_data(void *arg, const char *p, size_t n)
{
    (void)arg, (void)p, (void)n;
}

static void drained(image_intake *in)
{
    if (!in->stalled)
        return;
    in->stalled = false;
    if (!in->cancelled)
        in->ev.on_drain(in->arg);
}

static void on_feed_eof(void *arg, err *e)
{
    err_free(e);
    drained(arg); /* nobody reads any more: what comes is dropped */
}

static void on_feed_drain(void *arg)
{
    drained(arg);
}

static void on_feed_closed(void *arg)
{
    (void)arg;
}

static const sock_events feed_events = {on_feed_data, on_feed_eof, on_feed_drain, on_feed_closed};

static void feed_close(image_intake *in)
{
    if (in->feed)
        sock_close(take(in->feed));
}

static void on_unpacked(void *arg, err *e, unpack *u)
{
    image_intake *in = arg;

    (void)u;
    feed_close(in);
    drained(in);
    if (in->refused) {
        err_free(e);
        e = take(in->refused);
    }
    flow_resume(in->step, e);
}

static void feed_begin(image_intake *in)
{
    sock_set(in->feed, &feed_events, in);
    sock_read(in->feed, true);
    if (in->waiting.len)
        sock_write(in->feed, in->waiting.data, in->waiting.len);
    buf_done(&in->waiting);
    if (in->ended)
        sock_shutdown(in->feed);
    drained(in);
}

void intake_unpack(image_intake *in, const char *name, apply_mode mode, flow *f)
{
    auto_free char *path = xasprintf("%s/%s", in->dir, name);
    int pair[2];
    err *e;

    in->step = f;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        flow_resume(f, err_errno(errno, "socketpair"));
        return;
    }
    e = unpack_begin(path, mode, pair[1], on_unpacked, in, &in->unpack);
    close(pair[1]);
    if (e) {
        close(pair[0]);
        flow_resume(f, e);
        return;
    }
    e = sock_adopt(pair[0], &in->feed);
    if (!e) {
        feed_begin(in);
        return;
    }
    close(pair[0]);
    in->refused = e; /* told when the helper has ended */
    unpack_kill(in->unpack);
}

/* ---- what a route does ---- */

bool intake_write(image_intake *in, const char *p, size_t n)
{
    if (in->feed)
        sock_write(in->feed, p, n);
    else if (!in->unpack)
        buf_add(&in->waiting, p, n);
    in->stalled = in->feed ? sock_unsent(in->feed) >= UNSENT_MAX
                           : !in->unpack && in->waiting.len >= UNSENT_MAX;
    return !in->stalled;
}

void intake_end(image_intake *in)
{
    in->ended = true;
    if (in->feed)
        sock_shutdown(in->feed);
}

void intake_cancel(image_intake *in)
{
    if (in->cancelled)
        return;
    in->cancelled = true;
    in->ev.on_end = NULL;
    unpack_kill(in->unpack);
    flow_cancel(in->flow);
}

void intake_drop(image_intake *in)
{
    in->cancelled = true;
    unpack_free(take(in->unpack));
    feed_close(in);
    loop_defer(intake_free, in);
}

void intake_over(image_intake *in, err *e)
{
    in->flow = NULL;
    if (in->cancelled)
        err_free(e);
    else
        in->ev.on_end(in->arg, e, in->id);
    intake_drop(in);
}
