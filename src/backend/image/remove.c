/* remove.c - names and images on their way out.
 *
 * dockerd's rules: a running user is never overruled, a stopped one and several names only by
 * force. Files go after the store has forgotten them.  Loop thread only, except job_*. */
#include "private.h"
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/reference.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHORT_ID = 12 };

typedef struct removing {
    json_list list;
    image *img; /* to be let go when all is durable; NULL: only names went */
    image_removed *done;
    void *arg;
} removing;

static bool (*running_hook)(const char *container_id);

void images_set_running_hook(bool (*is_running)(const char *container_id))
{
    running_hook = is_running;
}

static char *short_id(const char *id)
{
    return xstrndup(str_starts(id, "sha256:") ? id + strlen("sha256:") : id, SHORT_ID);
}

static const char *running_holder(const image *img)
{
    for (size_t i = 0; i < img->holders.n; i++)
        if (running_hook && running_hook(img->holders.v[i]))
            return img->holders.v[i];
    return NULL;
}

static err *conflict(const image *img, const char *how, const char *why, const char *user)
{
    auto_free char *id = short_id(img->id), *who = user ? short_id(user) : NULL;

    return err_new(ERR_CONFLICT, "conflict: unable to delete %s (%s) - %s%s%s", id, how, why,
                   who ? " " : "", who ? who : "");
}

static err *named_conflict(const image *img, const char *name)
{
    auto_free char *id = short_id(img->id), *who = short_id(img->holders.v[0]);

    return err_new(ERR_CONFLICT,
                   "conflict: unable to remove repository reference \"%s\" (must force) - "
                   "container %s is using its "
                   "referenced image %s",
                   name, who, id);
}

/* by_name: NULL when the image was asked for by its id. */
static err *may_remove(const image *img, const char *by_name, bool force)
{
    const char *user = running_holder(img);

    if (by_name && (img->tags.n > 1 || (strchr(by_name, '@') && img->tags.n) || force))
        return NULL;
    if (by_name && img->holders.n)
        return named_conflict(img, by_name);
    if (user)
        return conflict(img, "cannot be forced", "image is being used by running container", user);
    if (force)
        return NULL;
    if (!by_name && img->tags.n > 1)
        return conflict(img, "must be forced", "image is referenced in multiple repositories",
                        NULL);
    if (img->holders.n)
        return conflict(img, "must be forced", "image is being used by stopped container",
                        img->holders.v[0]);
    return NULL;
}

/* ---- files ---- */

static err *job_remove_blob(void *arg)
{
    if (unlink(arg) < 0 && errno != ENOENT)
        return err_errno(errno, "unlink %s", (char *)arg);
    return NULL;
}

static void on_blob_removed(void *arg, err *e)
{
    err_log(e, "the configuration of a removed image is left");
    free(arg);
}

static void on_removed(void *arg, err *e)
{
    removing *r = arg;

    if (r->img && !e) {
        if (!image_by_id(r->img->id)) /* it may have been loaded anew */
            job_begin("image.remove-blob", job_remove_blob, blob_path(r->img->id), on_blob_removed);
        r->img->removed = true;
    }
    image_unref(r->img);
    r->done(r->arg, e, &r->list);
    free(r);
}

/* ---- the deed ---- */

static void untag(image *img, const char *familiar, arena *a, json_list *list, store_batch *b)
{
    image_deleted *d = json_list_add(list, a, &image_deleted_json);

    d->untagged = arena_strdup(a, familiar);
    image_unname(img, d->untagged, b);
    image_event("untag", img->id, img->id);
}

static void forget(image *img, arena *a, json_list *list, store_batch *b)
{
    image_deleted *d = json_list_add(list, a, &image_deleted_json);

    d->deleted = arena_strdup(a, img->id);
    for (size_t i = img->n_layers; i-- > 0;) {
        if (img->layers[i]->users == 1) {
            d = json_list_add(list, a, &image_deleted_json);
            d->deleted = arena_strdup(a, img->layers[i]->chain_id);
        }
    }
    image_event("delete", img->id, img->id);
    store_delete(b, "images", img->id);
    HASH_DEL(images_all, img);
}

/* The familiar form of ref when it is one of the image's names. */
static char *name_among(const image *img, const char *ref)
{
    reference parsed = {0};
    err *e = reference_parse(ref, &parsed);
    auto_free char *familiar = e ? NULL : reference_familiar(&parsed);

    err_free(e);
    reference_done(&parsed);
    return familiar && image_by_name(familiar) == img ? take(familiar) : NULL;
}

/* The last tag of a repository takes with it what the repository's registry called the image. */
static void untag_repository(image *img, const char *familiar, arena *a, json_list *list,
                             store_batch *b)
{
    const char *colon = strrchr(familiar, ':');
    size_t n = colon ? (size_t)(colon - familiar) : 0;

    for (size_t i = 0; i < img->tags.n; i++)
        if (!strncmp(img->tags.v[i], familiar, n) &&
            strrchr(img->tags.v[i], ':') == img->tags.v[i] + n)
            return;
    for (size_t i = img->digests.n; i-- > 0;)
        if (!strncmp(img->digests.v[i], familiar, n) && img->digests.v[i][n] == '@')
            untag(img, img->digests.v[i], a, list, b);
}

static void remove_checked(image *img, const char *by_name, arena *a, image_removed *done,
                           void *arg)
{
    removing *r = new0(removing);
    store_batch *b = store_batch_new();

    r->done = done;
    r->arg = arg;
    if (by_name) {
        untag(img, by_name, a, &r->list, b);
        if (!strchr(by_name, '@'))
            untag_repository(img, by_name, a, &r->list, b);
    } else {
        while (img->tags.n)
            untag(img, img->tags.v[0], a, &r->list, b);
        while (img->digests.n)
            untag(img, img->digests.v[0], a, &r->list, b);
    }
    if (!img->tags.n && !img->digests.n &&
        !img->holders.n) { /* what containers count on stays, without a name */
        forget(img, a, &r->list, b);
        r->img = img; /* the registry's reference */
    }
    store_commit(b, on_removed, r);
}

void image_remove(const char *ref, bool force, bool noprune, arena *a, image_removed *done,
                  void *arg)
{
    auto_free char *by_name = NULL;
    image *img = NULL;
    err *e = image_find(ref, &img);

    (void)noprune; /* images here have no untagged parents that could be kept */
    if (!e) {
        by_name = name_among(img, ref);
        e = may_remove(img, by_name, force);
    }
    if (e)
        done(arg, e, NULL);
    else
        remove_checked(img, by_name, a, done, arg);
}
