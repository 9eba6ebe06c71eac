/* memory.c - what a running container costs: its helper, and what the daemon keeps of it. */
#include "container.h"
#include "docker.h"
#include "scenarios.h"
#include <berth/mem.h>

static const cycle_step steps[] = {
    {"create", container_create, container_created},
    {"start", container_start},
    {0},
};

static void report_memory(bench *b, const proc_memory *before, const proc_memory *after,
                          const proc_memory *helpers)
{
    double n = (double)(report_operations(b->report) - report_failures(b->report));
    double growth = (double)after->pss - (double)before->pss;

    report_number(b->report, "daemon PSS before", "B", (double)before->pss);
    report_number(b->report, "daemon PSS with containers", "B", (double)after->pss);
    if (n < 1)
        return;
    report_number(b->report, "daemon PSS growth per container", "B", growth / n);
    report_number(b->report, "helper processes per container", "", (double)helpers->processes / n);
    report_number(b->report, "helper PSS per container", "B", (double)helpers->pss / n);
    report_number(b->report, "helper RSS per container", "B", (double)helpers->rss / n);
    report_number(b->report, "helper and growth per container", "B",
                  ((double)helpers->pss + growth) / n);
}

err *memory_run(bench *b)
{
    container_args args = {docker_create_body(b, (const char *const[]){"sleep", "86400", NULL})};
    auto_proc_table before = {0}, after = {0};
    proc_memory daemon = {0}, daemon_after = {0}, helpers = {0};

    bench_daemon_memory(b, &daemon);
    proc_table_read(&before);
    cycle_run(b, steps, &args);
    mem_freep(&args.create_body);
    if (!b->opt->pid)
        return NULL;
    bench_rest(b, b->opt->hold_s);
    proc_table_read(&after);
    proc_helper_memory(&after, &before, (int)b->opt->pid, &b->opt->helpers, &helpers);
    bench_daemon_memory(b, &daemon_after);
    report_memory(b, &daemon, &daemon_after, &helpers);
    return NULL;
}
