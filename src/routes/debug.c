/* debug.c - what a daemon in debug mode tells of its inside; the table comes and goes with it. */
#include "routes.h"
#include <berth/events.h>
#include <berth/flow.h>
#include <berth/job.h>
#include <berth/loop.h>

static void vars(request *r)
{
    containers_count n = containers_counted();
    auto_buf text = {0};

    buf_printf(
        &text,
        "{\"flows\":%u,\"jobs\":%u,\"containers\":%u,\"running\":%u,\"event_subscribers\":%u}\n",
        flows_running(), jobs_running(), n.all, n.running, event_subscribers());
    reply_bytes(r, 200, "application/json", text.data, text.len);
}

/* Everything in flight: flows, connections. */
static void dump(request *r)
{
    auto_buf text = {0};

    loop_dump(&text);
    reply_bytes(r, 200, "text/plain; charset=utf-8", text.len ? text.data : "", text.len);
}

const route debug_routes[] = {
    {GET, "/debug/vars", vars, 0},
    {GET, "/debug/dump", dump, 0},
    {0},
};
