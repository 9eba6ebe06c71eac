/* signals.c - what each signal does to the daemon.  Loop thread only.
 *
 * The end: nothing is accepted any more, containers are stopped unless live-restore is on, answers
 * are finished, jobs are awaited, the loop stops.  Every wait is bounded. */
#include "boot.h"
#include <berth/container.h>
#include <berth/flow.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/signals.h>
#include <berth/timefmt.h>
#include <berth/timer.h>
#include <berth/tree.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CLOSE_GRACE_MS = 1000,  /* for answers under way */
    QUIET_CHECK_MS = 5,     /* how often jobs are looked at */
    QUIET_LIMIT_MS = 30000, /* a job that hangs does not keep the daemon */
    INTERRUPTS_MAX = 3,     /* the third signal ends it at once */
    STOP_EXTRA_S = 5,       /* beyond the time-out, for what follows a stop */
};

static timer *deadline, *quiet;
static uint64_t quiet_since_ms;

/* ---- the end ---- */

static void on_quiet_check(void *arg)
{
    (void)arg;
    if (jobs_running() || flows_running()) {
        if (loop_now_ms() - quiet_since_ms < QUIET_LIMIT_MS)
            return;
        log_error("work did not end in time and is left", "jobs", jobs_running(), "flows",
                  flows_running());
        place_leave();
        _exit(EXIT_CONFIG);
    }
    timer_stop(take(quiet));
    notify_alive_end();
    loop_stop();
}

static void on_server_closed(void *arg)
{
    (void)arg;
    quiet_since_ms = loop_now_ms();
    quiet = timer_every("shutdown.quiet", QUIET_CHECK_MS, on_quiet_check, NULL);
    on_quiet_check(NULL);
}

static void on_stopped(void *arg)
{
    static bool closing;

    (void)arg;
    timer_stop(take(deadline));
    if (closing) /* the containers after all, behind their deadline */
        return;
    closing = true;
    http_server_close(the_daemon.server, CLOSE_GRACE_MS, on_server_closed, NULL);
}

static void on_overdue(void *arg)
{
    (void)arg;
    log_warn("containers did not stop in time");
    on_stopped(NULL);
}

static void on_terminate(int signo, void *arg)
{
    const config *now = the_daemon.now;

    (void)arg;
    if (++the_daemon.interrupts >= INTERRUPTS_MAX)
        _exit(128 + signo);
    if (the_daemon.interrupts > 1)
        return;
    log_info("shutting down", "signal", signo);
    notify_manager("STOPPING=1");
    http_server_pause(the_daemon.server, true);
    if (now->shutdown_timeout >= 0)
        deadline = timer_start("shutdown", (uint64_t)(now->shutdown_timeout + STOP_EXTRA_S) * 1000,
                               on_overdue, NULL);
    containers_shutdown(now->live_restore, on_stopped, NULL);
}

/* ---- looking inside ---- */

typedef struct dump {
    char *path;
    buf text;
} dump;

static void describe(buf *out)
{
    char now[TIME_TEXT];

    time_rfc3339(time_now_ns(), now);
    buf_printf(out, "berthd " BERTH_VERSION " pid %d at %s\nflows %u jobs %u connections %u\n",
               getpid(), now, flows_running(), jobs_running(),
               http_server_connections(the_daemon.server));
    loop_dump(out);
}

static err *job_write_dump(void *arg)
{
    dump *d = arg;

    return file_write(d->path, d->text.data, d->text.len, 0600);
}

static void on_dump_written(void *arg, err *e)
{
    dump *d = arg;

    if (e)
        err_log(e, "what is in flight could not be written");
    else
        log_info("what is in flight was written", "path", d->path);
    free(d->path);
    buf_done(&d->text);
    free(d);
}

static void on_dump(int signo, void *arg)
{
    dump *d = new0(dump);
    char now[TIME_TEXT];

    (void)signo, (void)arg;
    time_rfc3339_fixed(time_now_ns(), now);
    d->path = xasprintf("%s/stacks-%s.log", the_daemon.c->exec_root, now);
    describe(&d->text);
    job_begin("dump", job_write_dump, d, on_dump_written);
}

static void on_quit(int signo, void *arg)
{
    auto_buf text = {0};
    ssize_t n;

    (void)signo, (void)arg;
    describe(&text);
    n = write(STDERR_FILENO, text.data, text.len);
    (void)n; /* nobody is left to be told */
    abort();
}

static void on_hangup(int signo, void *arg)
{
    (void)signo, (void)arg;
    if (!the_daemon.interrupts)
        reload_begin();
}

err *signals_take(void)
{
    TRY(signal_on(SIGTERM, on_terminate, NULL));
    TRY(signal_on(SIGINT, on_terminate, NULL));
    TRY(signal_on(SIGQUIT, on_quit, NULL));
    TRY(signal_on(SIGUSR1, on_dump, NULL));
    return signal_on(SIGHUP, on_hangup, NULL);
}
