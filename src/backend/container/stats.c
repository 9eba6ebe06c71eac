/* stats.c - what a container uses, once a second for those who watch.
 *
 * One source per watched container: a timer and a job that reads the kernel's files, whatever the
 * number of watchers; the last reading is kept, so that the next one has something before it. Loop
 * thread only, except job_*. */
#include "private.h"
#include <berth/cgroup.h>
#include <berth/job.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/stats.h>
#include <berth/timer.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <utlist.h>

enum { PERIOD_MS = 1000, NS_PER_S = 1000000000 };
#define NEVER "0001-01-01T00:00:00Z"

typedef struct reading {
    struct source *source;
    char *cgroup;
    pid_t pid; /* whose network namespace is read; 0: none */
    arena *arena;
    stats_answer answer;
    bool there;
} reading;

struct stats_watch {
    struct source *source;
    stats_seen *seen;
    void *arg;
    bool fresh; /* has seen nothing yet */
    stats_watch *prev, *next;
};

typedef struct source {
    container *c; /* referenced */
    stats_watch *watches;
    timer *timer;
    reading *before; /* NULL: none yet */
    bool reading, over;
    struct source *prev, *next;
} source;

static source *sources;

static void reading_free(reading *r)
{
    if (!r)
        return;
    free(r->cgroup);
    arena_free(r->arena);
    free(r);
}

/* ---- the job ---- */

/* Of the whole machine, idle and all, as dockerd counts. */
static void read_system(stats_cpu *cpu)
{
    char line[512];
    auto_fclose FILE *f = fopen("/proc/stat", "re");
    unsigned long long ticks = 0;
    char *cursor = line, *word;

    if (!f || !fgets(line, sizeof line, f))
        return;
    strsep(&cursor, " ");
    for (int i = 0; i < 8 && (word = strsep(&cursor, " "));)
        if (*word) {
            ticks += strtoull(word, NULL, 10);
            i++;
        }
    cpu->system = (int64_t)(ticks * (NS_PER_S / (unsigned long long)sysconf(_SC_CLK_TCK)));
    cpu->online = sysconf(_SC_NPROCESSORS_ONLN);
}

static void add_network(json_mapof *all, arena *a, const char *name, const char *figures)
{
    long long v[12];
    stats_network *n;

    if (str_eq(name, "lo") ||
        sscanf(figures, "%lld %lld %lld %lld %*d %*d %*d %*d %lld %lld %lld %lld", &v[0], &v[1],
               &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
        return;
    n = json_mapof_add(all, a, &stats_network_json, name);
    *n = (stats_network){v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
}

/* The interfaces as the container sees them; the loopback is nobody's traffic. */
static void read_networks(pid_t pid, arena *a, json_mapof *all)
{
    auto_free char *path = xasprintf("/proc/%d/net/dev", (int)pid);
    auto_fclose FILE *f = fopen(path, "re");
    char line[512];

    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':'), *name = line + strspn(line, " ");

        if (!colon)
            continue;
        *colon = '\0';
        add_network(all, a, name, colon + 1);
    }
}

static err *job_read(void *arg)
{
    reading *r = arg;
    struct sysinfo machine;
    char now[TIME_TEXT];

    sysinfo(&machine);
    r->there = cgroup_stats_read(r->cgroup, (int64_t)(machine.totalram * machine.mem_unit),
                                 r->arena, &r->answer);
    if (!r->there)
        return NULL;
    read_system(&r->answer.cpu);
    if (r->pid)
        read_networks(r->pid, r->arena, &r->answer.networks);
    time_rfc3339(time_now_ns(), now);
    r->answer.read = arena_strdup(r->arena, now);
    return NULL;
}

/* ---- telling ---- */

/* before: NULL where there is none that this watcher has seen. */
static void tell_one(stats_watch *w, const stats_answer *base, const reading *before)
{
    const container *c = w->source->c;
    auto_free char *name = xasprintf("/%s", c->rec.name);
    stats_answer answer = *base;

    answer.name = name;
    answer.id = c->rec.id;
    answer.storage.text = "{}";
    answer.read = (char *)str_or(answer.read, NEVER);
    answer.preread = before ? before->answer.read : NEVER;
    if (before)
        answer.precpu = before->answer.cpu;
    w->fresh = false;
    w->seen(w->arg, &answer);
}

static void tell(source *s, const stats_answer *answer, const reading *before)
{
    stats_watch *w, *next;

    DL_FOREACH_SAFE (s->watches, w, next)
        tell_one(w, answer, w->fresh ? NULL : before);
}

/* Who joins others is told what they were told last. */
static void on_joined(void *arg)
{
    source *s = arg;
    stats_watch *w, *next;

    DL_FOREACH_SAFE (s->watches, w, next)
        if (w->fresh && s->before && !s->over)
            tell_one(w, &s->before->answer, NULL);
}

static void source_free(source *s)
{
    DL_DELETE(sources, s);
    timer_stop(s->timer);
    reading_free(s->before);
    container_unref(s->c);
    free(s);
}

static void on_over(void *arg)
{
    source_free(arg);
}

static void on_read(void *arg, err *e)
{
    reading *r = arg;
    source *s = r->source;
    bool there = r->there && s->c->state.running;

    err_free(e);
    s->reading = false;
    if (s->over) {
        reading_free(r);
        source_free(s);
        return;
    }
    tell(s, there ? &r->answer : &(stats_answer){0}, there ? s->before : NULL);
    reading_free(s->before);
    s->before = there ? r : NULL;
    if (!there)
        reading_free(r);
}

static void read_now(source *s)
{
    reading *r = new0(reading);
    const char *mode = s->c->rec.host->network_mode;

    s->reading = true;
    r->source = s;
    r->arena = arena_new();
    r->cgroup = container_cgroup(s->c);
    r->pid = s->c->state.running && !str_eq(mode, "host") ? (pid_t)s->c->state.pid : 0;
    job_begin("container.stats", job_read, r, on_read);
}

static void on_tick(void *arg)
{
    source *s = arg;
    stats_watch *w, *next;

    if (s->c->removed)
        DL_FOREACH_SAFE (s->watches, w, next)
            w->seen(w->arg, NULL);
    else if (!s->reading)
        read_now(s);
}

/* ---- watching ---- */

static source *source_of(container *c)
{
    source *s;

    DL_FOREACH (sources, s)
        if (s->c == c && !s->over)
            return s;
    s = new0(source);
    s->c = container_ref(c);
    s->timer = timer_every("container.stats", PERIOD_MS, on_tick, s);
    DL_APPEND(sources, s);
    read_now(s);
    return s;
}

stats_watch *stats_watch_begin(container *c, stats_seen *seen, void *arg)
{
    stats_watch *w = new0(stats_watch);

    w->source = source_of(c);
    w->seen = seen;
    w->arg = arg;
    w->fresh = true;
    DL_APPEND(w->source->watches, w);
    if (w->source->before)
        loop_defer(on_joined, w->source);
    return w;
}

void stats_watch_end(stats_watch *w)
{
    source *s = w ? w->source : NULL;

    if (!w)
        return;
    DL_DELETE(s->watches, w);
    free(w);
    if (s->watches || s->over)
        return;
    s->over = true;
    timer_stop(take(s->timer));
    if (!s->reading)
        loop_defer(on_over, s);
}
