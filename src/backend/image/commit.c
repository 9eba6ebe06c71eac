/* commit.c - what a container has written becomes the layer of a new image.
 *
 * One helper writes the upper directory as a layer's tar, the unpacking helper takes it in through
 * a pipe: digest and size come from what was really unpacked.  Loop thread only, except job_*. */
#include "intake.h"
#include <berth/archiver.h>
#include <berth/child.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_MAX = 2048 };

typedef struct committing {
    arena *arena;
    image *parent; /* referenced */
    image_run_config run;
    char *upper, *comment, *author, *created_by, *name, *dir;
    int opaques; /* a file of the directories that hide what is below, hex-coded */
    flow *step;
    child *packer;
    unpack *unpack;
    unpacked told;
    bool packed, taken_in;
    err *failure;
    staged_image staged;
    image_committed *done;
    void *arg;
} committing;

/* ---- directories that hide what is below: the packer may not see that itself ---- */

static err *note_opaques(const committing *k, int fd, const char *path, unsigned depth)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_closedir DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *ent;
    char value;

    if (fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y') {
        auto_free char *hex = xmalloc(2 * strlen(path) + 1);

        str_hex(path, strlen(path), hex);
        dprintf(k->opaques, "%s\n", hex);
    }
    while (d && depth < DEPTH_MAX && (ent = readdir(d))) {
        auto_close int below = -1;
        auto_free char *its = NULL;

        if (ent->d_type != DT_DIR || str_eq(ent->d_name, ".") || str_eq(ent->d_name, ".."))
            continue;
        its = xasprintf("%s%s%s", path, *path ? "/" : "", ent->d_name);
        below = openat(fd, ent->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            TRY(note_opaques(k, below, its, depth + 1));
    }
    return NULL;
}

static err *job_stage(void *st)
{
    committing *k = st;
    auto_free char *fs = xasprintf("%s/layer/fs", k->dir);
    auto_close int fd = open(k->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(errno, "open %s", k->upper);
    TRY(tree_make(fs, 0755));
    k->opaques = memfd_create("opaques", MFD_CLOEXEC);
    if (k->opaques < 0)
        return err_errno(errno, "memfd");
    return note_opaques(k, fd, "", 0);
}

static err *job_unstage(void *st)
{
    return tree_remove(((committing *)st)->dir);
}

/* ---- the two helpers ---- */

static void end_if_over(committing *k)
{
    if (k->packed && k->taken_in)
        flow_resume(take(k->step), take(k->failure));
}

static void on_packed(void *arg, err *e, const child_exit *exit)
{
    committing *k = arg;

    (void)exit;
    k->packer = NULL;
    k->packed = true;
    if (e) { /* what the other one says of a cut archive is no news */
        err_free(k->failure);
        k->failure = e;
    }
    end_if_over(k);
}

static void on_taken_in(void *arg, err *e, unpack *u)
{
    committing *k = arg;

    (void)u;
    k->taken_in = true;
    if (e && !k->failure)
        k->failure = e;
    else
        err_free(e);
    end_if_over(k);
}

static err *begin_packer(committing *k, int out)
{
    auto_close int root = open(k->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int extra[] = {root, k->opaques};
    char *argv[] = {ARCHIVER_ARG0, "layer", "/", NULL};
    child_opts o = {.name = "commit",
                    .argv = argv,
                    .file = "/proc/self/exe",
                    .stdout_fd = out,
                    .extra_fds = extra,
                    .n_extra_fds = 2};

    if (root < 0)
        return err_errno(errno, "open %s", k->upper);
    return child_spawn(&o, on_packed, k, &k->packer);
}

static void kill_both(void *st)
{
    committing *k = st;

    if (k->packer)
        child_kill(k->packer, SIGKILL);
    unpack_kill(k->unpack);
}

static void call_pack(void *st, flow *f)
{
    committing *k = st;
    auto_free char *fs = xasprintf("%s/layer/fs", k->dir);
    int pipes[2];
    err *e;

    if (pipe2(pipes, O_CLOEXEC) < 0) {
        flow_resume(f, err_errno(errno, "pipe"));
        return;
    }
    k->step = f;
    e = begin_packer(k, pipes[1]);
    close(pipes[1]);
    if (!e) {
        e = unpack_begin(fs, APPLY_LAYER, pipes[0], on_taken_in, k, &k->unpack);
        if (e) {
            k->failure = take(e);
            k->taken_in = true;
            kill_both(k);
        }
    }
    close(pipes[0]);
    if (e)
        flow_resume(f, e);
    else
        flow_on_cancel(f, kill_both);
}

/* ---- the image ---- */

static char *config_text(committing *k)
{
    const image_config *from = &k->parent->config;
    image_config config = {.architecture = from->architecture,
                           .variant = from->variant,
                           .os = from->os,
                           .config = k->run,
                           .comment = k->comment,
                           .author = k->author};
    image_history *step;
    auto_buf text = {0};
    char now[TIME_TEXT];

    time_rfc3339(time_now_ns(), now);
    config.created = now;
    config.rootfs.type = "layers";
    for (size_t i = 0; i < from->rootfs.diff_ids.n; i++)
        json_strs_add(&config.rootfs.diff_ids, k->arena, from->rootfs.diff_ids.v[i]);
    json_strs_add(&config.rootfs.diff_ids, k->arena, k->told.plain);
    for (size_t i = 0; i < from->history.n; i++)
        *(image_history *)json_list_add(&config.history, k->arena, &image_history_json) =
            *JSON_AT(from->history, image_history, i);
    step = json_list_add(&config.history, k->arena, &image_history_json);
    *step = (image_history){
        .created = now, .created_by = k->created_by, .comment = k->comment, .author = k->author};
    json_encode(&image_config_json, &config, JSON_ANY_VERSION, &text);
    return buf_take(&text);
}

/* The parent's layers are there; the new one is on top. */
static void stage_layers(committing *k)
{
    staged_image *s = &k->staged;
    const char *below = "";

    s->n_layers = k->parent->n_layers + 1;
    s->layers = xcalloc(s->n_layers, sizeof *s->layers);
    for (size_t i = 0; i < k->parent->n_layers; i++) {
        memcpy(s->layers[i].diff_id, k->parent->layers[i]->diff_id, sizeof s->layers[i].diff_id);
        memcpy(s->layers[i].chain_id, k->parent->layers[i]->chain_id, sizeof s->layers[i].chain_id);
        below = s->layers[i].chain_id;
    }
    memcpy(s->layers[s->n_layers - 1].diff_id, k->told.plain, sizeof k->told.plain);
    chain_id_next(below, k->told.plain, s->layers[s->n_layers - 1].chain_id);
    s->layers[s->n_layers - 1].size = k->told.size;
    s->layers[s->n_layers - 1].dir = xasprintf("%s/layer", k->dir);
}

static err *job_publish(void *st)
{
    committing *k = st;
    auto_free char *fs = xasprintf("%s/layer/fs", k->dir);
    staged_image *s = &k->staged;

    TRY(unpack_result(k->unpack, fs, &k->told));
    s->config_text = config_text(k);
    digest_of(s->config_text, strlen(s->config_text), s->id);
    stage_layers(k);
    if (k->name)
        strv_push(&s->tags, k->name);
    return staged_publish(s, 1);
}

static err *job_tidy(void *st)
{
    committing *k = st;

    TRY(staged_withdraw(&k->staged, k->staged.config_text ? 1 : 0));
    return tree_remove(k->dir);
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    staged_record(&((committing *)st)->staged, 1, on_recorded, f);
}

static err *now_announce(void *st)
{
    const committing *k = st;

    if (k->name)
        image_event("tag", k->staged.id, k->name);
    return NULL;
}

static void committing_free(void *st)
{
    committing *k = st;

    if (!k)
        return;
    image_unref(k->parent);
    staged_image_done(&k->staged);
    unpack_free(k->unpack);
    unpacked_done(&k->told);
    mem_closep(&k->opaques);
    free(k->upper);
    free(k->name);
    free(k->dir);
    arena_free(k->arena);
    free(k);
}

static const flow_step commit_steps[] = {
    {"stage", SLOW_JOB(job_stage), SLOW_JOB(job_unstage)},
    {"pack", CALL(call_pack)},
    {"publish", SLOW_JOB(job_publish), SLOW_JOB(job_tidy)},
    {"record", CALL(call_record)},
    {"tidy", SLOW_JOB(job_tidy)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def commit_flow = {"image.commit", commit_steps, committing_free, HANGUP_FINISH};

static void on_committed(void *arg, void *st, err *e)
{
    const committing *k = st;

    (void)arg;
    k->done(k->arg, e, e ? "" : k->staged.id);
}

err *image_commit(const commit_opts *o, image_committed *done, void *arg)
{
    committing *k = new0(committing);
    char id[65];
    err *e = str_empty(o->repo)
                 ? NULL
                 : image_new_name(o->repo, o->tag, "cannot commit to digest reference", &k->name);

    k->arena = arena_new();
    k->opaques = -1;
    k->parent = image_ref(o->parent);
    k->upper = xstrdup(o->upper);
    k->comment = arena_strdup(k->arena, o->comment);
    k->author = arena_strdup(k->arena, o->author);
    k->created_by = arena_strdup(k->arena, o->created_by);
    str_random_id(id);
    k->dir = xasprintf("%s/tmp/%.16s", images_root, id);
    k->done = done;
    k->arg = arg;
    if (!e) { /* a copy of its own: the container may go */
        auto_buf text = {0};

        json_encode(&image_run_config_json, o->run, JSON_ANY_VERSION, &text);
        e = json_decode(&image_run_config_json, text.data, text.len, JSON_ANY_VERSION, k->arena,
                        &k->run);
    }
    if (!e)
        e = changes_apply(o->changes, &k->run, k->arena);
    if (e) {
        committing_free(k);
        return e;
    }
    flow_begin(&commit_flow, k, on_committed, NULL);
    return NULL;
}
