/* image_rig.h - the whole room on a scratch data root: a loop, a store, the helper, bounded time.
 */
#ifndef BERTH_TEST_IMAGE_RIG_H
#define BERTH_TEST_IMAGE_RIG_H

#include "tar_rig.h"
#include <berth/events.h>
#include <berth/flow.h>
#include <berth/image.h>
#include <berth/job.h>
#include <berth/loop.h>
#include <berth/rootfs.h>
#include <berth/store.h>
#include <berth/timer.h>
#include <dirent.h>

enum { RIG_WAIT_MS = 30 * 1000 };

static struct {
    char *root;
    bool late;
} rig;

/* What an import or a load came to. */
typedef struct took {
    image_intake *in;
    bool ended;
    unsigned drains, drains_seen;
    err *e;
    char id[80];
    buf said;
} took;

RIG void on_late(void *arg)
{
    *(bool *)arg = true;
    loop_stop();
}

RIG void on_tick(void *arg)
{
    (void)arg;
    loop_stop();
}

/* Run the loop until done(arg). */
RIG void run_until(bool (*done)(void *arg), void *arg)
{
    timer *late = timer_start("test.late", RIG_WAIT_MS, on_late, &rig.late);
    timer *tick = timer_every("test.tick", 2, on_tick, NULL);

    while (!done(arg) && !rig.late)
        loop_run();
    timer_stop(tick);
    timer_stop(late);
    assert_false(rig.late);
}

RIG bool is_idle(void *arg)
{
    (void)arg;
    return jobs_running() == 0 && flows_running() == 0;
}

RIG void settle(void)
{
    run_until(is_idle, NULL);
    run_until(is_idle, NULL); /* a job's end may begin another */
}

RIG void open_all(void)
{
    auto_free char *db = xasprintf("%s/state.db", rig.root);
    bool rebuilt = false;

    assert_null(loop_init());
    assert_null(store_open(db, &rebuilt));
    assert_null(images_init(rig.root, rebuilt));
}

RIG void close_all(void)
{
    settle();
    images_done();
    events_done();
    loop_done();
    store_close();
}

/* As after a kill or an upgrade. */
RIG void restart(void)
{
    close_all();
    open_all();
}

RIG int image_up(void **state)
{
    (void)state;
    rig.root = xstrdup("/tmp/berth-image-XXXXXX");
    rig.late = false;
    assert_non_null(mkdtemp(rig.root));
    open_all();
    return 0;
}

RIG int image_down(void **state)
{
    (void)state;
    close_all();
    assert_null(tree_remove(rig.root));
    free(take(rig.root));
    return 0;
}

#define image_test(fn) cmocka_unit_test_setup_teardown(fn, image_up, image_down)

/* ---- taking archives ---- */

RIG void on_took_drain(void *arg)
{
    ((took *)arg)->drains++;
}

RIG void on_took_said(void *arg, const char *line)
{
    buf_str(&((took *)arg)->said, line);
}

RIG void on_took_end(void *arg, err *e, const char *id)
{
    took *t = arg;

    assert_false(t->ended);
    t->ended = true;
    t->e = e;
    snprintf(t->id, sizeof(t->id), "%s", id ? id : "");
}

static const intake_events took_events = {on_took_drain, on_took_said, on_took_end};

RIG bool took_ended(void *arg)
{
    return ((took *)arg)->ended;
}

RIG void took_done(took *t)
{
    err_free(t->e);
    buf_done(&t->said);
}
#define auto_took __attribute__((cleanup(took_done))) took

RIG bool took_drained(void *arg)
{
    const took *t = arg;

    return t->ended || t->drains > t->drains_seen;
}

/* As a client that is stopped while the intake is full. */
RIG void feed(took *t, const buf *bytes)
{
    for (size_t at = 0; at < bytes->len && !t->ended; at += 65536) {
        size_t n = bytes->len - at < 65536 ? bytes->len - at : 65536;

        t->drains_seen = t->drains;
        if (!intake_write(t->in, bytes->data + at, n))
            run_until(took_drained, t);
    }
    if (!t->ended)
        intake_end(t->in);
}

RIG void load_bytes(const buf *bytes, took *t)
{
    assert_null(image_load(&took_events, t, &t->in));
    feed(t, bytes);
    run_until(took_ended, t);
}

RIG void import_bytes(const buf *bytes, const import_opts *o, took *t)
{
    assert_null(image_import(o, &took_events, t, &t->in));
    feed(t, bytes);
    run_until(took_ended, t);
}

/* ---- what is on disk ---- */

RIG unsigned count_in(const char *below)
{
    auto_free char *path = xasprintf("%s/%s", rig.root, below);
    auto_closedir DIR *d = opendir(path);
    struct dirent *ent;
    unsigned n = 0;

    assert_non_null(d);
    while ((ent = readdir(d)))
        n += ent->d_name[0] != '.' && !str_eq(ent->d_name, "init");
    return n;
}

RIG image *must_find(const char *ref)
{
    image *img = NULL;
    err *e = image_find(ref, &img);

    if (e)
        fail_msg("%s", err_message(e));
    return img;
}

RIG void expect_missing(const char *ref, const char *text)
{
    image *img = NULL;
    auto_err *e = image_find(ref, &img);

    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_NOT_FOUND);
    assert_string_equal(err_message(e), text);
}

#endif
