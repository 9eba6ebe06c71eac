/* bench.c - one measurement: the loop, the server, the report.  Loop thread only. */
#include "bench.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BEAT_MS = 100, BEATS_PER_LINE = 3 };

struct bench_clock {
    uv_timer_t beat;
    uv_signal_t signals[2];
    uint64_t beats;
    int64_t began_ns;
    uint64_t machine_cpu, own_cpu, engine_cpu, operations;
    bool tty;
};

typedef struct call {
    bool answered;
    int status;
    char *body, *error;
} call;

/* ---- the beat ---- */

static void print_progress(const bench *b)
{
    const histogram *h = report_find(b->report, b->opt->scenario->headline);
    double seconds = (double)(time_mono_ns() - b->clock->began_ns) / 1e9;
    char p50[REPORT_TEXT] = "-", p99[REPORT_TEXT] = "-";
    uint64_t n = report_operations(b->report);

    if (h) {
        report_format((double)histogram_percentile(h, 50), "ns", p50);
        report_format((double)histogram_percentile(h, 99), "ns", p99);
    }
    fprintf(stderr, "\r%s  %.1f s  %" PRIu64 " done  %" PRIu64 " failed  p50 %s  p99 %s\033[K",
            b->opt->scenario->name, seconds, n, report_failures(b->report), p50, p99);
}

static void on_beat(uv_timer_t *t)
{
    bench *b = t->data;

    if (b->side)
        client_expire(b->side, time_mono_ns(), (int64_t)(b->opt->timeout_s * 1e9));
    if (b->beat)
        b->beat(b->beat_arg);
    if (b->clock->tty && b->clock->beats++ % BEATS_PER_LINE == 0)
        print_progress(b);
}

static void on_signal(uv_signal_t *s, int signo)
{
    bench *b = s->data;

    (void)signo;
    b->interrupts++;
    report_interrupted(b->report);
    if (b->interrupts == 1)
        fprintf(stderr, "\nberth-bench: ending; once more does not wait for what is in flight\n");
}

/* ---- begin and end ---- */

static void raise_descriptor_limit(void)
{
    struct rlimit r;

    if (!getrlimit(RLIMIT_NOFILE, &r)) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r); /* with fewer, opening fails and is reported */
    }
}

static void clock_begin(bench *b)
{
    static const int signos[] = {SIGINT, SIGTERM};
    struct bench_clock *c = b->clock = new0(struct bench_clock);

    c->tty = isatty(STDERR_FILENO) && !b->opt->quiet;
    c->began_ns = time_mono_ns();
    uv_timer_init(&b->loop, &c->beat);
    c->beat.data = b;
    uv_timer_start(&c->beat, on_beat, BEAT_MS, BEAT_MS);
    for (size_t i = 0; i < COUNT(signos); i++) {
        uv_signal_init(&b->loop, &c->signals[i]);
        c->signals[i].data = b;
        uv_signal_start(&c->signals[i], on_signal, signos[i]);
        uv_unref((uv_handle_t *)&c->signals[i]);
    }
}

err *bench_init(bench *b, const options *opt)
{
    char id[65];

    *b = (bench){.opt = opt};
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    str_random_id(id);
    memcpy(b->run_id, id, RUN_ID_DIGITS);
    b->report = report_new();
    TRY(endpoint_new(opt->host, opt->ca, opt->cert, opt->key, &b->to));
    uv_loop_init(&b->loop);
    clock_begin(b);
    b->side = client_new(&b->loop, b->to);
    return NULL;
}

void bench_clear_line(bench *b)
{
    if (b->clock->tty)
        fprintf(stderr, "\r\033[K");
    b->clock->tty = false;
}

void bench_done(bench *b)
{
    if (b->clock) {
        client_free(b->side);
        uv_close((uv_handle_t *)&b->clock->beat, NULL);
        for (size_t i = 0; i < COUNT(b->clock->signals); i++)
            uv_close((uv_handle_t *)&b->clock->signals[i], NULL);
        while (uv_run(&b->loop, UV_RUN_ONCE))
            ;
        uv_loop_close(&b->loop);
        mem_freep(&b->clock);
    }
    mem_freep(&b->subject);
    strv_done(&b->subjects);
    endpoint_free(b->to);
    report_free(b->report);
}

/* ---- asking ---- */

void bench_render(const bench *b, buf *out, const char *method, const char *path, const char *body)
{
    const char *version = b->opt->api_version;

    buf_printf(out,
               "%s %s%s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: berth-bench/" BERTH_VERSION "\r\n",
               method, version ? "/v" : "", str_or(version, ""), path, b->to->authority);
    if (body)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(body), body);
    else if (str_eq(method, "POST"))
        buf_str(out, "Content-Length: 0\r\n\r\n");
    else
        buf_str(out, "\r\n");
}

static void call_answered(void *arg, const answer *a)
{
    call *c = arg;

    c->answered = true;
    c->status = a->status;
    c->body = xstrdup(a->body);
    c->error = xstrdup(a->error);
}

/* {"message": "..."} as the sentence in it, anything else as it is. */
static char *message_of(const char *body)
{
    cJSON *j = cJSON_Parse(body);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(j, "message"));
    char *message = xstrndup(str_or(text, body), 200);

    cJSON_Delete(j);
    return message;
}

void bench_render_upload(const bench *b, buf *out, const char *method, const char *path, size_t n)
{
    const char *version = b->opt->api_version;

    buf_printf(out,
               "%s %s%s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-tar\r\n"
               "Content-Length: %zu\r\n\r\n",
               method, version ? "/v" : "", str_or(version, ""), path, b->to->authority, n);
}

/* Ask beside the measurement and wait. */
must_check static err *ask_and_wait(bench *b, const char *method, const char *path,
                                    const buf *request, upload up, char **ret_body)
{
    call c = {0};
    auto_free char *answered = NULL, *failed = NULL, *message = NULL;

    client_ask(b->side, &(question){.bytes = request->data,
                                    .n = request->len,
                                    .up = up,
                                    .keep_body = true,
                                    .done = call_answered,
                                    .arg = &c});
    if (!bench_wait(b, &c.answered, b->opt->timeout_s + 1, b->interrupts + 2)) {
        client_free(b->side);
        b->side = client_new(&b->loop, b->to);
        return err_new(ERR_CANCELLED, "%s %s: given up", method, path);
    }
    answered = c.body;
    failed = c.error;
    if (!c.status)
        return err_new(ERR_UNAVAILABLE, "%s %s: %s", method, b->opt->host, failed);
    if (c.status / 100 != 2) {
        message = message_of(answered);
        return err_new(ERR_SYSTEM, "%s %s: %d %s", method, path, c.status, message);
    }
    if (ret_body)
        *ret_body = take(answered);
    return NULL;
}

err *bench_call(bench *b, const char *method, const char *path, const char *body, char **ret_body)
{
    auto_buf request = {0};

    bench_render(b, &request, method, path, body);
    return ask_and_wait(b, method, path, &request, (upload){0}, ret_body);
}

err *bench_call_upload(bench *b, const char *method, const char *path, upload up)
{
    auto_buf request = {0};

    bench_render_upload(b, &request, method, path, up.n);
    return ask_and_wait(b, method, path, &request, up, NULL);
}

void bench_throughput(bench *b, const char *phase, uint64_t bytes)
{
    const histogram *h = report_find(b->report, phase);
    double ns = h && histogram_count(h) ? (double)histogram_percentile(h, 50) : 0;

    if (ns > 0)
        report_number(b->report, "throughput, median", "MB/s", (double)bytes / 1e6 / (ns / 1e9));
}

bool bench_wait(bench *b, const bool *flag, double seconds, int patience)
{
    int64_t end_ns = time_mono_ns() + (int64_t)(seconds * 1e9);

    while (!*flag && b->interrupts < patience && time_mono_ns() < end_ns)
        uv_run(&b->loop, UV_RUN_ONCE); /* the beat wakes it */
    return *flag;
}

void bench_rest(bench *b, double seconds)
{
    static const bool never = false;

    (void)bench_wait(b, &never, seconds, 1);
}

bool bench_note(bench *b, const answer *a)
{
    auto_free char *message = NULL;

    report_status(b->report, a->status);
    if (a->status / 100 == 2)
        return true;
    if (a->error) {
        report_error(b->report, a->error);
        return false;
    }
    message = *a->body ? message_of(a->body) : xasprintf("status %d", a->status);
    report_error(b->report, message);
    return false;
}

/* ---- what it costs ---- */

static uint64_t engine_cpu(const bench *b)
{
    auto_proc_table t = {0};

    if (!b->opt->pid)
        return 0;
    proc_table_read(&t);
    return proc_engine_cpu(&t, (int)b->opt->pid);
}

void bench_cost_begin(bench *b)
{
    b->clock->operations = report_operations(b->report);
    b->clock->engine_cpu = engine_cpu(b);
    b->clock->own_cpu = proc_own_cpu();
    b->clock->machine_cpu = proc_machine_cpu();
}

void bench_cost_end(bench *b)
{
    uint64_t n = report_operations(b->report) - b->clock->operations;
    uint64_t machine = proc_machine_cpu() - b->clock->machine_cpu;
    uint64_t own = proc_own_cpu() - b->clock->own_cpu;

    if (!n)
        return;
    if (b->opt->pid)
        report_number(b->report, "engine CPU per operation", "ns",
                      fmax(0, (double)engine_cpu(b) - (double)b->clock->engine_cpu) / (double)n);
    report_number(b->report, "machine CPU per operation, less ours", "ns",
                  fmax(0, (double)machine - (double)own) / (double)n);
    report_number(b->report, "our CPU per operation", "ns", (double)own / (double)n);
}

void bench_daemon_memory(const bench *b, proc_memory *ret)
{
    auto_proc_table t = {0};

    *ret = (proc_memory){0};
    if (!b->opt->pid)
        return;
    proc_table_read(&t);
    proc_daemon_memory(&t, (int)b->opt->pid, &b->opt->helpers, ret);
}
