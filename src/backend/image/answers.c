/* answers.c - what the API says of images: the list, one image, its history.  Loop thread only. */
#include "private.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <stdlib.h>
#include <string.h>

enum { NS_PER_S = 1000000000 };

/* What the filters of a list come to. */
typedef struct list_query {
    const filters *f;
    int64_t before_ns, since_ns, until_ns; /* TIME_ZERO: not asked for */
    bool dangling_asked, dangling;
} list_query;

/* "busybox" and "busybox:*" both match busybox:latest. */
static bool name_wanted(const filters *f, const char *familiar)
{
    size_t n = filters_count(f, "reference");
    const char *at = strchr(familiar, '@'), *colon = at ? at : strrchr(familiar, ':');
    auto_free char *repository =
        xstrndup(familiar, colon ? (size_t)(colon - familiar) : strlen(familiar));

    for (size_t i = 0; i < n; i++)
        if (filters_glob(filters_nth(f, "reference", i), familiar) ||
            filters_glob(filters_nth(f, "reference", i), repository))
            return true;
    return n == 0;
}

static bool any_name_wanted(const image *img, const filters *f)
{
    for (size_t i = 0; i < img->tags.n; i++)
        if (name_wanted(f, img->tags.v[i]))
            return true;
    for (size_t i = 0; i < img->digests.n; i++)
        if (name_wanted(f, img->digests.v[i]))
            return true;
    return !filters_has(f, "reference");
}

static bool is_wanted(const image *img, const list_query *q)
{
    if (q->dangling_asked && q->dangling != (img->tags.n == 0))
        return false;
    if (!any_name_wanted(img, q->f) ||
        !filters_match_labels(q->f, "label", &img->config.config.labels))
        return false;
    if (q->before_ns != TIME_ZERO && img->created_ns >= q->before_ns)
        return false;
    if (q->until_ns != TIME_ZERO && img->created_ns >= q->until_ns)
        return false;
    return q->since_ns == TIME_ZERO || img->created_ns > q->since_ns;
}

static err *created_of(const filters *f, const char *key, int64_t *ret_ns)
{
    image *img = NULL;

    if (!filters_has(f, key))
        return NULL;
    TRY(image_find(filters_nth(f, key, 0), &img));
    *ret_ns = img->created_ns;
    return NULL;
}

static err *read_query(const filters *f, list_query *q)
{
    *q = (list_query){f, TIME_ZERO, TIME_ZERO, TIME_ZERO, filters_has(f, "dangling"), false};
    TRY(created_of(f, "before", &q->before_ns));
    TRY(created_of(f, "since", &q->since_ns));
    if (filters_has(f, "until"))
        TRY(time_parse_filter(filters_nth(f, "until", 0), time_now_ns(), &q->until_ns));
    return filters_bool(f, "dangling", false, &q->dangling);
}

static int64_t shared_size_of(const image *img)
{
    int64_t n = 0;

    for (size_t i = 0; i < img->n_layers; i++)
        if (img->layers[i]->users > 1)
            n += img->layers[i]->size;
    return n;
}

static int64_t created_s(const image *img)
{
    return img->created_ns == TIME_ZERO ? 0 : img->created_ns / NS_PER_S;
}

static void summarize(const image *img, const list_query *q, int api_version, arena *a,
                      image_summary *out)
{
    out->containers = api_version < 51 ? -1 : (int64_t)img->holders.n;
    out->created = created_s(img);
    out->id = (char *)img->id;
    out->labels = img->config.config.labels;
    for (size_t i = 0; i < img->tags.n; i++)
        if (name_wanted(q->f, img->tags.v[i]))
            json_strs_add(&out->repo_tags, a, img->tags.v[i]);
    for (size_t i = 0; i < img->digests.n; i++)
        if (name_wanted(q->f, img->digests.v[i]))
            json_strs_add(&out->repo_digests, a, img->digests.v[i]);
    if (!img->tags.n && !img->digests.n && api_version < 43) {
        json_strs_add(&out->repo_tags, a, "<none>:<none>");
        json_strs_add(&out->repo_digests, a, "<none>@<none>");
    }
    out->shared_size = -1;
    out->size = out->virtual_size = img->size;
}

static int by_created(const void *x, const void *y)
{
    const image *const *a = x, *const *b = y;

    return ((*b)->created_ns > (*a)->created_ns) - ((*b)->created_ns < (*a)->created_ns);
}

err *images_list(const filters *f, bool all, bool shared_size, int api_version, arena *a,
                 image_summary **ret_list, size_t *ret_n)
{
    image **sorted = arena_alloc(a, (HASH_COUNT(images_all) + 1) * sizeof(*sorted));
    list_query q;
    size_t n = 0;

    (void)all; /* there are no intermediate images */
    TRY(read_query(f, &q));
    for (image *img = images_all; img; img = img->hh.next)
        if (is_wanted(img, &q))
            sorted[n++] = img;
    qsort(sorted, n, sizeof(*sorted), by_created);
    *ret_list = arena_alloc(a, (n + 1) * sizeof(**ret_list));
    for (size_t i = 0; i < n; i++) {
        summarize(sorted[i], &q, api_version, a, &(*ret_list)[i]);
        if (shared_size && api_version >= 42)
            (*ret_list)[i].shared_size = shared_size_of(sorted[i]);
    }
    *ret_n = n;
    return NULL;
}

static void inspect_layers(const image *img, arena *a, image_inspect *out)
{
    auto_strv dirs = {0};
    auto_buf lower = {0};

    image_layer_dirs(img, &dirs);
    out->graph_driver.name = "overlay2";
    for (size_t i = 1; i < dirs.n; i++)
        buf_printf(&lower, "%s%s", i > 1 ? ":" : "", dirs.v[i]);
    if (lower.len)
        json_map_set(&out->graph_driver.data, a, "LowerDir", lower.data);
    if (dirs.n)
        json_map_set(&out->graph_driver.data, a, "UpperDir", dirs.v[0]);
    out->rootfs.type = "layers";
    for (size_t i = 0; i < img->config.rootfs.diff_ids.n; i++)
        json_strs_add(&out->rootfs.layers, a, img->config.rootfs.diff_ids.v[i]);
}

static inspect_config inspected_config(const image_run_config *k)
{
    return (inspect_config){.user = k->user,
                            .exposed_ports = k->exposed_ports,
                            .env = k->env,
                            .cmd = k->cmd,
                            .healthcheck = k->healthcheck,
                            .args_escaped = k->args_escaped,
                            .volumes = k->volumes,
                            .working_dir = k->working_dir,
                            .entrypoint = k->entrypoint,
                            .on_build = k->on_build,
                            .labels = k->labels,
                            .stop_signal = k->stop_signal,
                            .shell = k->shell};
}

void image_inspected(const image *img, arena *a, image_inspect *out)
{
    char tagged[TIME_TEXT];

    out->id = (char *)img->id;
    image_tags(img, a, &out->repo_tags);
    for (size_t i = 0; i < img->digests.n; i++)
        json_strs_add(&out->repo_digests, a, img->digests.v[i]);
    out->comment = img->config.comment;
    out->created = img->config.created;
    out->created_always =
        str_empty(img->config.created) ? "0001-01-01T00:00:00Z" : img->config.created;
    out->docker_version = img->config.docker_version;
    out->author = img->config.author;
    out->config = inspected_config(&img->config.config);
    out->architecture = img->config.architecture;
    out->variant = img->config.variant;
    out->os = img->config.os;
    out->size = out->virtual_size = img->size;
    inspect_layers(img, a, out);
    time_rfc3339(img->tagged_ns ? img->tagged_ns : TIME_ZERO, tagged);
    out->metadata.last_tag_time = arena_strdup(a, tagged);
}

/* Newest first; only the newest is an image that one can name. */
void image_histories(const image *img, arena *a, json_list *ret)
{
    const json_list *entries = &img->config.history;
    size_t layer_at = 0;
    image_history_item *items = arena_alloc(a, (entries->n + 1) * sizeof(*items));

    for (size_t i = 0; i < entries->n; i++) {
        const image_history *h = JSON_AT(*entries, image_history, i);
        image_history_item *item = &items[entries->n - 1 - i];
        int64_t ns = 0;
        err *odd = str_empty(h->created) ? NULL : time_parse_rfc3339(h->created, &ns);

        err_free(odd);
        *item = (image_history_item){.id = "<missing>",
                                     .created = ns / NS_PER_S,
                                     .created_by = h->created_by,
                                     .comment = h->comment};
        if (!h->empty_layer && layer_at < img->n_layers)
            item->size = img->layers[layer_at++]->size;
    }
    if (entries->n) {
        items[0].id = (char *)img->id;
        image_tags(img, a, &items[0].tags);
    }
    *ret = (json_list){items, entries->n, true};
}
