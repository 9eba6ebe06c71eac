/* main.c - berth-bench: measures a server of the Docker Engine API. */
#include "bench.h"
#include <berth/mem.h>
#include <stdio.h>

enum { EXIT_MEASURED = 0, EXIT_TROUBLE = 1, EXIT_USAGE = 2, EXIT_FAILURES = 3, EXIT_CTRL_C = 130 };

static int complain(err *e)
{
    fprintf(stderr, "berth-bench: %s\n", err_message(e));
    err_free(e);
    return EXIT_TROUBLE;
}

/* Who answers there; also the proof that somebody does before anything is measured. */
must_check static err *greet(bench *b)
{
    auto_free char *version = NULL;

    TRY(bench_call(b, "GET", "/version", NULL, &version));
    report_server(b->report, version);
    return NULL;
}

must_check static err *measure(bench *b)
{
    const scenario *s = b->opt->scenario;
    err *e = NULL;

    if (!s->serverless)
        TRY(greet(b));
    if (s->prepare)
        e = s->prepare(b);
    if (!e && !b->interrupts)
        e = s->run(b);
    if (s->finish)
        s->finish(b);
    return e;
}

must_check static err *tell(const bench *b)
{
    report_print(b->report, b->opt);
    return b->opt->json ? report_write(b->report, b->opt, b->opt->json) : NULL;
}

static int run(const options *o)
{
    bench b;
    err *e = bench_init(&b, o);
    int status = EXIT_MEASURED;

    if (!e) {
        e = measure(&b);
        bench_clear_line(&b);
        if (e && report_operations(b.report)) /* what was measured before is worth something */
            err_free(tell(&b));
        else if (!e)
            e = tell(&b);
    }
    if (e)
        status = complain(e);
    else if (report_was_interrupted(b.report))
        status = EXIT_CTRL_C;
    else if (report_failures(b.report) || report_has_errors(b.report))
        status = EXIT_FAILURES;
    bench_done(&b);
    return status;
}

int main(int argc, char **argv)
{
    options o;
    err *e = options_parse(argc, argv, &o);
    int status;

    if (e) {
        complain(e);
        options_done(&o);
        return EXIT_USAGE;
    }
    status = run(&o);
    options_done(&o);
    return status;
}
