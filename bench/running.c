/* running.c - what many running containers cost: their stats, and their health checks. */
#include "docker.h"
#include "load.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <math.h>

enum { SETTLE_S = 3 }; /* until every container has been checked */

must_check static err *run_many(bench *b, const char *more)
{
    auto_free char *body =
        docker_create_body_with(b, (const char *const[]){"sleep", "86400", NULL}, more);

    for (uint64_t i = 0; i < b->opt->prepare && !b->interrupts; i++) {
        auto_free char *id = NULL;

        TRY(docker_create(b, body, &id));
        TRY(docker_start(b, id));
        strv_push(&b->subjects, id);
    }
    return NULL;
}

err *running_prepare(bench *b)
{
    return run_many(b, "{}");
}

err *stats_run(bench *b)
{
    auto_strv paths = {0};

    for (size_t i = 0; i < b->subjects.n; i++)
        strv_pushf(&paths, "/containers/%s/stats?stream=0&one-shot=1", b->subjects.v[i]);
    return load_run_paths(b, "GET stats", &paths);
}

err *health_prepare(bench *b)
{
    return run_many(b, "{\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":1000000000,"
                       "\"Timeout\":30000000000}}");
}

/* An operation is a second of rest, so that the costs are per second. */
err *health_run(bench *b)
{
    double seconds = fmax(1, round(b->opt->hold_s));
    histogram *h = report_phase(b->report, "second");

    bench_rest(b, SETTLE_S);
    bench_cost_begin(b);
    bench_rest(b, seconds);
    for (int i = 0; i < (int)seconds && !b->interrupts; i++) {
        histogram_record(h, 1000000000);
        report_operation(b->report, true);
    }
    bench_cost_end(b);
    report_elapsed(b->report, (int64_t)(seconds * 1e9));
    return NULL;
}
