/* create.c - a container comes to be: checked, named, its directories made, recorded durably.
 *
 * Loop thread only, except job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/rootfs.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <stdlib.h>
#include <sys/utsname.h>

enum { NAME_TRIES = 6 };

typedef struct creation {
    container *c; /* referenced; in the registry from the start, so that its name is taken */
    strv warnings, lowers;
    container_created *done;
    void *arg;
} creation;

static err *job_make(void *st)
{
    creation *cr = st;

    TRY(mounts_check_sources(cr->c));
    TRY(tree_make(cr->c->dir, 0710));
    TRY(rootfs_prepare(cr->c->dir));
    return mounts_make(cr->c);
}

static err *job_unmake(void *st)
{
    return tree_remove(((creation *)st)->c->dir);
}

static bool fills_volumes(void *st)
{
    return mounts_want_root(((creation *)st)->c);
}

static void call_use(void *st, flow *f)
{
    mounts_use(((creation *)st)->c, f);
}

static void call_unuse(void *st, flow *f)
{
    mounts_unuse(((creation *)st)->c, f);
}

static err *job_fill(void *st)
{
    creation *cr = st;

    return mounts_fill(cr->c, (const char *const *)cr->lowers.v);
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    store_batch *b = store_batch_new();

    mounts_save(((creation *)st)->c, b);
    container_save(((creation *)st)->c, b);
    store_commit(b, on_recorded, f);
}

static err *now_announce(void *st)
{
    mounts_made(((creation *)st)->c);
    container_event(((creation *)st)->c, "create", NULL);
    return NULL;
}

static void creation_free(void *st)
{
    creation *cr = st;

    if (!cr)
        return;
    container_unref(cr->c);
    strv_done(&cr->warnings);
    strv_done(&cr->lowers);
    free(cr);
}

static const flow_step create_steps[] = {
    {"make directories", JOB(job_make), JOB(job_unmake)},
    {"use volumes", CALL(call_use), CALL(call_unuse), .when = fills_volumes},
    {"fill volumes", SLOW_JOB(job_fill), .when = fills_volumes},
    {"leave volumes", CALL(call_unuse), .when = fills_volumes},
    {"record", CALL(call_record)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def create_flow = {"container.create", create_steps, creation_free, HANGUP_FINISH};

static void on_created(void *arg, void *st, err *e)
{
    creation *cr = st;

    (void)arg;
    if (e) {
        mounts_give_up(cr->c);
        image_release(cr->c->image, cr->c->rec.id);
        registry_remove(cr->c);
    }
    op_end(cr->c);
    cr->done(cr->arg, e, cr->c, &cr->warnings);
}

static void create_begin(container *c, void *arg)
{
    (void)c;
    flow_begin(&create_flow, arg, on_created, NULL);
}

static err *name_choose(const char *asked, const char *id, char **ret_name)
{
    if (*asked == '/')
        asked++;
    if (*asked) {
        TRY(name_check(asked));
        TRY(registry_name_free(asked));
        *ret_name = xstrdup(asked);
        return NULL;
    }
    for (unsigned i = 0; i < NAME_TRIES; i++) {
        auto_free char *name = name_made_up(i);

        if (!registry_by_name(name)) {
            *ret_name = take(name);
            return NULL;
        }
    }
    *ret_name = xstrndup(id, 12);
    return NULL;
}

static err *platform_check(const container_create_opts *o, const image *img)
{
    const image_config *k = image_config_of(img);
    auto_free char *has = xasprintf("%s/%s", str_or(k->os, "linux"), str_or(k->architecture, ""));

    if (str_empty(o->platform) || str_eq(o->platform, has) || str_eq(o->platform, "linux"))
        return NULL;
    return err_new(ERR_NOT_FOUND,
                   "image with reference %s was found but its platform (%s) does not match the "
                   "specified platform (%s)",
                   o->config->image, has, o->platform);
}

static char *host_name(arena *a)
{
    struct utsname u;

    return arena_strdup(a, uname(&u) < 0 ? "localhost" : u.nodename);
}

static err *prepare(const container_create_opts *o, arena *a, creation *cr)
{
    container_record rec = {.config = o->config, .host = o->host, .created_ns = time_now_ns()};
    image *img = NULL;
    auto_free char *name = NULL;
    char id[65];

    if (str_empty(o->config->image))
        return err_new(ERR_INVALID, "no image specified");
    TRY(image_find(o->config->image, &img));
    TRY(platform_check(o, img));
    TRY(config_merge(o->config, &image_config_of(img)->config, a));
    TRY(config_check(o, &cr->warnings));
    TRY(networks_decide(o, a, &rec.networks, &cr->warnings));
    TRY(links_decide(o->host, a, &rec.links));
    TRY(config_defaults(o->host, o->api_version, a));
    str_random_id(id);
    TRY(name_choose(o->name, id, &name));
    rec.own_hostname = !str_empty(o->config->hostname);
    if (!rec.own_hostname && str_eq(o->host->network_mode, "host"))
        o->config->hostname = host_name(a);
    else if (!rec.own_hostname && !str_eq(o->host->uts_mode, "host") &&
             !str_starts(o->host->network_mode, "container:"))
        o->config->hostname = arena_strndup(a, id, 12);
    rec.id = id;
    rec.name = name;
    rec.image_id = (char *)image_id(img);
    rec.image_arch = image_config_of(img)->architecture;
    TRY(mounts_plan(o, id, a, &rec.mount_points));
    cr->c = container_new(&rec);
    mounts_bind(cr->c);
    mounts_mark_new(cr->c);
    image_layer_dirs(img, &cr->lowers);
    cr->c->image = image_ref(img);
    image_hold(img, id);
    return NULL;
}

typedef struct failed {
    container_created *done;
    void *arg;
    err *e;
} failed;

static void on_failed(void *arg)
{
    static const strv none;
    failed *f = arg;

    f->done(f->arg, f->e, NULL, &none);
    free(f);
}

void container_create(const container_create_opts *o, container_created *done, void *arg)
{
    auto_arena *a = arena_new();
    creation *cr = new0(creation);
    err *e = prepare(o, a, cr);

    if (e) {
        failed *f = new0(failed);

        *f = (failed){done, arg, e};
        creation_free(cr);
        loop_defer(on_failed, f);
        return;
    }
    cr->done = done;
    cr->arg = arg;
    cr->c->found = true;
    registry_add(cr->c);
    op_begin(cr->c, "create", create_begin, cr);
}
