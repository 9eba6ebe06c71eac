/* boot.c - up in order, down in the opposite one.
 *
 * Each part of the daemon is a row with its way up and its way down.  Listeners open before the
 * slower rooms are filled, so clients queue in the backlog rather than be refused; they are
 * accepted when what ran before has been found again.  A clean end stops containers unless
 * live-restore is on; any other end leaves them running for the next daemon. */
#include "boot.h"
#include <berth/container.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/signals.h>
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* The clients that queued are answered before the runtimes are asked what they are. */
enum { PROBE_AFTER_MS = 50 };

struct the_daemon the_daemon;

/* What the process itself needs; files made later have modes of their own. */
static err *process_up(void)
{
    struct rlimit r;

    umask(0022);
    mallopt(M_ARENA_MAX, 2); /* a worker's arena of its own would cost more than it saves */
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
    return NULL;
}

static err *place_up(void)
{
    return place_take(the_daemon.c);
}

static const struct part {
    const char *name;
    err *(*up)(void);
    void (*down)(void);
} parts[] = {
    {"process", process_up, NULL},
    {"files", place_up, place_leave},
    {"rooms", rooms_up, rooms_down},
    {"signals", signals_take, signals_done},
};

static err *bring_up(size_t *ret_n)
{
    for (*ret_n = 0; *ret_n < COUNT(parts);) {
        int64_t began_ns = time_mono_ns();

        TRY(parts[(*ret_n)++].up());
        log_trace("boot", "up", "part", parts[*ret_n - 1].name, "us",
                  (time_mono_ns() - began_ns) / 1000);
    }
    return NULL;
}

static void take_down(size_t n)
{
    while (n-- > 0)
        if (parts[n].down)
            parts[n].down();
    reload_done();
}

static timer *probe_timer;

static void on_time_to_probe(void *arg)
{
    (void)arg;
    timer_stop(take(probe_timer));
    runtimes_probe();
}

static void on_restored(void *arg)
{
    (void)arg;
    rooms_set_routes();
    http_server_pause(the_daemon.server, false);
    notify_manager("READY=1");
    notify_alive_begin();
    for (size_t i = 0; i < the_daemon.c->hosts.n; i++)
        log_info("API listening", "host", the_daemon.c->hosts.v[i]);
    probe_timer = timer_start("probe runtimes", PROBE_AFTER_MS, on_time_to_probe, NULL);
}

/* The message in dockerd's form, whose sentence about the pid file goes on with a comma. */
static int failed(err *e)
{
    bool goes_on = str_starts(err_message(e), "ensure docker is not running");

    fprintf(stderr, "failed to start daemon%s %s\n", goes_on ? "," : ":", err_message(e));
    err_free(e);
    return EXIT_CONFIG;
}

int daemon_run(int argc, char **argv, config *c)
{
    size_t n = 0;
    err *e;

    the_daemon = (struct the_daemon){.argc = argc, .argv = argv, .c = c, .now = c};
    reload_log_level(c);
    log_set_trace(getenv("BERTH_TRACE"));
    e = bring_up(&n);
    if (e) {
        /* What is in memory ends with the process; what others see is taken back. */
        http_server_free(the_daemon.server);
        place_leave();
        return failed(e);
    }
    containers_restore(on_restored, NULL);
    loop_run();
    timer_stop(take(probe_timer));
    take_down(n);
    return 0;
}
