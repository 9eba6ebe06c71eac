/* requests.c - the scenarios of one request: ping, version, list, inspect. */
#include "docker.h"
#include "load.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <string.h>

err *ping_run(bench *b)
{
    return load_run(b, "GET /_ping", "/_ping");
}

err *version_run(bench *b)
{
    return load_run(b, "GET /version", "/version");
}

err *list_prepare(bench *b)
{
    auto_free char *body = docker_create_body(b, (const char *const[]){"true", NULL});

    for (uint64_t i = 0; i < b->opt->prepare && !b->interrupts; i++) {
        auto_free char *id = NULL;

        TRY(docker_create(b, body, &id));
    }
    return NULL;
}

err *list_run(bench *b)
{
    auto_free char *listed = NULL;

    TRY(bench_call(b, "GET", "/containers/json?all=1", NULL, &listed));
    report_number(b->report, "bytes of the answer", "B", (double)strlen(listed));
    return load_run(b, "GET /containers/json", "/containers/json?all=1");
}

err *inspect_prepare(bench *b)
{
    auto_free char *body = docker_create_body(b, (const char *const[]){"true", NULL});

    return docker_create(b, body, &b->subject);
}

err *inspect_run(bench *b)
{
    auto_free char *path = xasprintf("/containers/%s/json", b->subject);

    return load_run(b, "GET /containers/ID/json", path);
}

void sweep_finish(bench *b)
{
    auto_free char *label = xasprintf("berth-bench-run%%3D%s", b->run_id);
    uint64_t n = 0;
    err *e = docker_sweep(b, label, &n);

    if (e)
        report_error(b->report, err_message(e));
    err_free(e);
}

err *sweep_run(bench *b)
{
    uint64_t n = 0;
    err *e = docker_sweep(b, "berth-bench%3D1", &n);

    report_number(b->report, "containers removed", "count", (double)n);
    return e;
}
