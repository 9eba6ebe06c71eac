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
    {"log-write", "start to end of a container that writes --size MB of lines",
     .headline = "start to end", .count = 3, .run = log_write_run, .finish = sweep_finish},
    {"log-read", "GET logs of --size MB", .headline = "GET logs", .count = 3,
     .prepare = log_read_prepare, .run = log_read_run, .finish = sweep_finish},
    {"attach", "--size MB through `cat` and back", .headline = "attach to end", .count = 3,
     .run = attach_run, .finish = sweep_finish},
    {"archive-put", "PUT archive of one file of --size MB", .headline = "PUT archive", .count = 3,
     .prepare = archive_prepare, .run = archive_put_run, .finish = archive_finish},
    {"archive-get", "GET archive of one file of --size MB", .headline = "GET archive", .count = 3,
     .prepare = archive_get_prepare, .run = archive_get_run, .finish = archive_finish},
    {"stats", "GET stats, one at a time, of --prepare N running containers",
     .headline = "GET stats", .duration_s = 5, .prepare = running_prepare, .run = stats_run,
     .finish = sweep_finish},
    {"health", "--hold S with --prepare N containers that are checked every second",
     .headline = "second", .count = 1, .prepare = health_prepare, .run = health_run,
     .finish = sweep_finish},
    {"network", "create and delete of a network", .headline = "total", .count = 20,
     .run = network_run},
    {"forward", "ping-pong, and --size MB, through a published port (--publish 1 --network bridge)",
     .headline = "ping-pong", .duration_s = 3, .prepare = forward_prepare, .run = forward_run,
     .finish = sweep_finish},
    {"load", "POST /images/load of --file, called --image", .headline = "load", .count = 3,
     .prepare = load_prepare, .run = image_load_run, .finish = load_finish},
    {"save", "GET /images/IMAGE/get", .headline = "save", .count = 3, .run = save_run},
    {"commit", "commit of a container with a new file of --size MB, and rmi", .headline = "commit",
     .count = 3, .prepare = commit_prepare, .run = commit_run, .finish = archive_finish},
    {"pull", "pull of --image, and rmi", .headline = "pull", .count = 3, .run = pull_run},
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
