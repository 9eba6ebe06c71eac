/* scenarios.c - the table of what can be measured.  Each run function lives in a file of its own.
 */
#include "scenarios.h"
#include <berth/str.h>

const scenario scenarios[] = {
    {"ping", "GET /_ping", .headline = "GET /_ping", .duration_s = 5, .run = ping_run},
    {"version", "GET /version", .headline = "GET /version", .duration_s = 5, .run = version_run},
    {"list", "GET /containers/json?all=1 with --prepare N containers there",
     .headline = "GET /containers/json", .duration_s = 5, .prepare = list_prepare, .run = list_run,
     .finish = sweep_finish},
    {"inspect", "GET /containers/ID/json of one created container",
     .headline = "GET /containers/ID/json", .duration_s = 5, .prepare = inspect_prepare,
     .run = inspect_run, .finish = sweep_finish},
    {"lifecycle", "create, start, wait, delete of `true`", .headline = "total", .count = 20,
     .run = lifecycle_run, .finish = sweep_finish},
    {"exec", "exec create and start of `true` in one running container", .headline = "total",
     .count = 50, .prepare = exec_prepare, .run = exec_run, .finish = sweep_finish},
    {"events", "--subscribers N while containers are created and removed", .headline = "event lag",
     .count = 50, .run = events_run, .finish = sweep_finish},
    {"idle", "--connections N opened, one ping each, held for --hold S",
     .headline = "open and ping", .count = 1, .connections = 100, .run = idle_run},
    {"memory", "--count N sleeping containers: memory of helpers and daemon (--pid)",
     .headline = "start", .count = 10, .run = memory_run, .finish = sweep_finish},
    {"start", "spawn the daemon given after `--` until it answers /_ping, --count times",
     .headline = "spawn to ping", .count = 5, .serverless = true, .needs_command = true,
     .run = start_run},
    {"spawn", "run the program given after `--` to its end, --count times", .headline = "run",
     .count = 30, .serverless = true, .needs_command = true, .run = spawn_run},
    {"sweep", "remove every container that an earlier, killed run left", .headline = "delete",
     .count = 1, .run = sweep_run},
    {0},
};

const scenario *scenario_find(const char *name)
{
    for (const scenario *s = scenarios; s->name; s++)
        if (str_eq(s->name, name))
            return s;
    return NULL;
}
