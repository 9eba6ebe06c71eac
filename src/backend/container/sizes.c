/* sizes.c - how much containers have written, counted on the disk by a slow job.
 *
 * Loop thread only, except job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <stdlib.h>

typedef struct counting {
    container **list; /* each referenced */
    int64_t *bytes;   /* the caller's, alive until done */
    size_t n;
    container_done *done;
    void *arg;
} counting;

static err *job_count(void *st)
{
    counting *k = st;

    for (size_t i = 0; i < k->n; i++) {
        auto_free char *diff = container_file(k->list[i], "diff");

        k->bytes[i] = tree_bytes(diff);
    }
    return NULL;
}

static void counting_free(void *st)
{
    counting *k = st;

    if (!k)
        return;
    for (size_t i = 0; i < k->n; i++)
        container_unref(k->list[i]);
    free(k->list);
    free(k);
}

static const flow_step sizes_steps[] = {
    {"count", SLOW_JOB(job_count)},
    {0},
};
const flow_def sizes_flow = {"container.sizes", sizes_steps, counting_free, HANGUP_UNWIND};

static void on_counted(void *arg, void *st, err *e)
{
    counting *k = st;

    (void)arg;
    k->done(k->arg, e);
}

void containers_sizes(container *const *list, size_t n, int64_t *ret_bytes, container_done *done,
                      void *arg)
{
    counting *k = new0(counting);

    *k = (counting){xcalloc(n + 1, sizeof(*k->list)), ret_bytes, n, done, arg};
    for (size_t i = 0; i < n; i++)
        k->list[i] = container_ref(list[i]);
    flow_begin(&sizes_flow, k, on_counted, NULL);
}

int64_t container_image_bytes(const container *c)
{
    return c->image ? image_bytes(c->image) : 0;
}
