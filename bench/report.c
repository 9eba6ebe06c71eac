/* report.c - what was measured: phases, numbers, statuses, errors; as a table and as JSON. */
#include "report.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

enum { PHASES_MAX = 16, NUMBERS_MAX = 48, ERRORS_MAX = 32, STATUS_MAX = 600 };

typedef struct phase {
    char *name;
    histogram *h;
} phase;

typedef struct number {
    char *name;
    const char *unit;
    double value;
} number;

typedef struct reason {
    char *why;
    uint64_t count;
} reason;

struct report {
    phase phases[PHASES_MAX];
    number numbers[NUMBERS_MAX];
    reason errors[ERRORS_MAX];
    size_t n_phases, n_numbers, n_errors;
    uint64_t statuses[STATUS_MAX];
    uint64_t operations, failures;
    int64_t elapsed_ns;
    char *server;
    bool interrupted;
};

static const struct percentile {
    const char *name;
    double percent;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};

report *report_new(void)
{
    return new0(report);
}

void report_free(report *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_phases; i++) {
        mem_freep(&r->phases[i].name);
        histogram_free(r->phases[i].h);
    }
    for (size_t i = 0; i < r->n_numbers; i++)
        mem_freep(&r->numbers[i].name);
    for (size_t i = 0; i < r->n_errors; i++)
        mem_freep(&r->errors[i].why);
    mem_freep(&r->server);
    mem_freep(&r);
}

static histogram *find(const report *r, const char *name)
{
    for (size_t i = 0; i < r->n_phases; i++)
        if (str_eq(r->phases[i].name, name))
            return r->phases[i].h;
    return NULL;
}

const histogram *report_find(const report *r, const char *name)
{
    return find(r, name);
}

histogram *report_phase(report *r, const char *name)
{
    phase *p;

    if (find(r, name))
        return find(r, name);
    assert(r->n_phases < PHASES_MAX); /* scenarios name their phases */
    p = &r->phases[r->n_phases++];
    p->name = xstrdup(name);
    p->h = histogram_new();
    return p->h;
}

void report_number(report *r, const char *name, const char *unit, double value)
{
    size_t i = 0;

    while (i < r->n_numbers && !str_eq(r->numbers[i].name, name))
        i++;
    assert(i < NUMBERS_MAX);
    if (i == r->n_numbers)
        r->numbers[r->n_numbers++].name = xstrdup(name);
    r->numbers[i].unit = unit;
    r->numbers[i].value = value;
}

void report_status(report *r, int status)
{
    if (status > 0 && status < STATUS_MAX)
        r->statuses[status]++;
}

void report_error(report *r, const char *why)
{
    size_t i = 0;

    while (i < r->n_errors && !str_eq(r->errors[i].why, why))
        i++;
    if (i == ERRORS_MAX) /* the last one stands for all the rest */
        i--;
    if (i == r->n_errors)
        r->errors[r->n_errors++].why = xstrdup(i == ERRORS_MAX - 1 ? "other reasons" : why);
    r->errors[i].count++;
}

void report_operation(report *r, bool ok)
{
    r->operations++;
    r->failures += !ok;
}

uint64_t report_operations(const report *r)
{
    return r->operations;
}

uint64_t report_failures(const report *r)
{
    return r->failures;
}

bool report_has_errors(const report *r)
{
    return r->n_errors;
}

void report_elapsed(report *r, int64_t ns)
{
    r->elapsed_ns = ns;
}

void report_server(report *r, const char *version)
{
    mem_freep(&r->server);
    r->server = xstrdup(version);
}

void report_interrupted(report *r)
{
    r->interrupted = true;
}

bool report_was_interrupted(const report *r)
{
    return r->interrupted;
}

/* Operations that succeeded per second. */
static double rate_of(const report *r)
{
    return r->elapsed_ns > 0 ? (double)(r->operations - r->failures) * 1e9 / (double)r->elapsed_ns
                             : 0;
}

/* ---- the table ---- */

typedef struct scale {
    double factor;
    const char *unit;
} scale;

/* Three or four digits, whatever the size. */
static void format_scaled(double value, const scale *scales, size_t n, char out[REPORT_TEXT])
{
    size_t i = 0;
    double shown;

    while (i + 1 < n && fabs(value) >= scales[i + 1].factor)
        i++;
    shown = value / scales[i].factor;
    snprintf(out, REPORT_TEXT, "%.*f%s%s",
             fabs(shown) < 10     ? 2
             : fabs(shown) < 1000 ? 1
                                  : 0,
             shown, *scales[i].unit ? " " : "", scales[i].unit);
}

void report_format(double value, const char *unit, char out[REPORT_TEXT])
{
    static const scale times[] = {{1, "ns"}, {1e3, "us"}, {1e6, "ms"}, {1e9, "s"}};
    static const scale sizes[] = {{1, "B"}, {1024, "KiB"}, {1048576, "MiB"}, {1073741824, "GiB"}};
    static const scale plain[] = {{1, ""}};

    if (str_eq(unit, "ns"))
        format_scaled(value, times, COUNT(times), out);
    else if (str_eq(unit, "B"))
        format_scaled(value, sizes, COUNT(sizes), out);
    else if (str_eq(unit, "MB/s"))
        snprintf(out, REPORT_TEXT, "%.1f MB/s", value);
    else if (str_eq(unit, "count"))
        snprintf(out, REPORT_TEXT, "%.0f", value);
    else
        format_scaled(value, plain, COUNT(plain), out);
}

/* One cell; a phase that never succeeded has no times. */
static void print_time(const histogram *h, double ns)
{
    char cell[REPORT_TEXT] = "-";

    if (histogram_count(h))
        report_format(ns, "ns", cell);
    printf(" %10s", cell);
}

static void print_phase(const phase *p)
{
    const histogram *h = p->h;

    printf("  %-22s %9" PRIu64, p->name, histogram_count(h));
    print_time(h, histogram_mean(h));
    for (size_t i = 0; i < COUNT(percentiles); i++)
        print_time(h, (double)histogram_percentile(h, percentiles[i].percent));
    print_time(h, (double)histogram_max(h));
    printf("\n");
}

static void print_failures(const report *r)
{
    bool any = false;

    for (int i = 0; i < STATUS_MAX; i++)
        if (r->statuses[i]) {
            printf("%s %d: %" PRIu64, any ? "," : "  statuses  ", i, r->statuses[i]);
            any = true;
        }
    if (any)
        printf("\n");
    for (size_t i = 0; i < r->n_errors; i++)
        printf("  error      %s: %" PRIu64 "\n", r->errors[i].why, r->errors[i].count);
}

void report_print(const report *r, const options *o)
{
    char cell[REPORT_TEXT];

    printf("%s  %s%s\n", o->scenario->name, o->scenario->needs_command ? o->command[0] : o->host,
           r->interrupted ? "  (interrupted)" : "");
    if (r->operations)
        printf("  %" PRIu64 " operations in %.3f s, %" PRIu64 " failed, %.1f per second\n",
               r->operations, (double)r->elapsed_ns / 1e9, r->failures, rate_of(r));
    if (r->n_phases)
        printf("  %-22s %9s %10s %10s %10s %10s %10s %10s\n", "phase", "count", "mean", "p50",
               "p90", "p99", "p99.9", "max");
    for (size_t i = 0; i < r->n_phases; i++)
        print_phase(&r->phases[i]);
    for (size_t i = 0; i < r->n_numbers; i++) {
        report_format(r->numbers[i].value, r->numbers[i].unit, cell);
        printf("  %-42s %12s\n", r->numbers[i].name, cell);
    }
    print_failures(r);
    fflush(stdout);
}

/* ---- JSON ---- */

static void add_options(cJSON *to, const options *o)
{
    cJSON *j = cJSON_AddObjectToObject(to, "options");

    cJSON_AddNumberToObject(j, "connections", (double)o->connections);
    cJSON_AddNumberToObject(j, "pipeline", (double)o->pipeline);
    cJSON_AddNumberToObject(j, "count", (double)o->count);
    cJSON_AddNumberToObject(j, "duration_s", o->duration_s);
    cJSON_AddNumberToObject(j, "warmup_s", o->warmup_s);
    cJSON_AddNumberToObject(j, "rate", o->rate);
    cJSON_AddNumberToObject(j, "prepare", (double)o->prepare);
    cJSON_AddNumberToObject(j, "subscribers", (double)o->subscribers);
    cJSON_AddStringToObject(j, "image", o->image);
    cJSON_AddStringToObject(j, "network", o->network);
}

/* "model name : X" of the first processor. */
static void add_cpu_model(cJSON *to)
{
    auto_fclose FILE *f = fopen("/proc/cpuinfo", "re");
    char line[512];

    while (f && fgets(line, sizeof line, f))
        if (str_starts(line, "model name") && strchr(line, ':')) {
            line[strcspn(line, "\n")] = '\0';
            cJSON_AddStringToObject(to, "cpu", strchr(line, ':') + 2);
            return;
        }
}

static void add_machine(cJSON *to)
{
    cJSON *j = cJSON_AddObjectToObject(to, "machine");
    struct utsname u;
    struct sysinfo info;

    if (!uname(&u)) {
        cJSON_AddStringToObject(j, "kernel", u.release);
        cJSON_AddStringToObject(j, "architecture", u.machine);
    }
    add_cpu_model(j);
    cJSON_AddNumberToObject(j, "cpus", get_nprocs());
    if (!sysinfo(&info))
        cJSON_AddNumberToObject(j, "memory_bytes", (double)info.totalram * info.mem_unit);
}

static void add_phases(cJSON *to, const report *r)
{
    cJSON *phases = cJSON_AddObjectToObject(to, "phases_ns");

    for (size_t i = 0; i < r->n_phases; i++) {
        cJSON *j = cJSON_AddObjectToObject(phases, r->phases[i].name);
        const histogram *h = r->phases[i].h;

        cJSON_AddNumberToObject(j, "count", (double)histogram_count(h));
        cJSON_AddNumberToObject(j, "mean", round(histogram_mean(h)));
        cJSON_AddNumberToObject(j, "min", (double)histogram_min(h));
        for (size_t k = 0; k < COUNT(percentiles); k++)
            cJSON_AddNumberToObject(j, percentiles[k].name,
                                    (double)histogram_percentile(h, percentiles[k].percent));
        cJSON_AddNumberToObject(j, "max", (double)histogram_max(h));
    }
}

static void add_numbers(cJSON *to, const report *r)
{
    cJSON *numbers = cJSON_AddObjectToObject(to, "numbers");

    for (size_t i = 0; i < r->n_numbers; i++) {
        cJSON *j = cJSON_AddObjectToObject(numbers, r->numbers[i].name);

        cJSON_AddNumberToObject(j, "value", r->numbers[i].value);
        cJSON_AddStringToObject(j, "unit", r->numbers[i].unit);
    }
}

static void add_failures(cJSON *to, const report *r)
{
    cJSON *statuses = cJSON_AddObjectToObject(to, "statuses");
    cJSON *errors = cJSON_AddObjectToObject(to, "errors");
    char name[16];

    for (int i = 0; i < STATUS_MAX; i++)
        if (r->statuses[i]) {
            snprintf(name, sizeof name, "%d", i);
            cJSON_AddNumberToObject(statuses, name, (double)r->statuses[i]);
        }
    for (size_t i = 0; i < r->n_errors; i++)
        cJSON_AddNumberToObject(errors, r->errors[i].why, (double)r->errors[i].count);
}

static char *encode(const report *r, const options *o)
{
    cJSON *j = cJSON_CreateObject();
    cJSON *server = r->server ? cJSON_Parse(r->server) : NULL;
    char now[TIME_TEXT], *text;

    time_rfc3339(time_now_ns(), now);
    cJSON_AddStringToObject(j, "tool", "berth-bench " BERTH_VERSION);
    cJSON_AddStringToObject(j, "time", now);
    cJSON_AddStringToObject(j, "scenario", o->scenario->name);
    cJSON_AddStringToObject(j, "target", o->scenario->needs_command ? o->command[0] : o->host);
    add_options(j, o);
    add_machine(j);
    if (server)
        cJSON_AddItemToObject(j, "server", server);
    cJSON_AddBoolToObject(j, "interrupted", r->interrupted);
    cJSON_AddNumberToObject(j, "operations", (double)r->operations);
    cJSON_AddNumberToObject(j, "failed", (double)r->failures);
    cJSON_AddNumberToObject(j, "elapsed_s", (double)r->elapsed_ns / 1e9);
    cJSON_AddNumberToObject(j, "rate", rate_of(r));
    add_phases(j, r);
    add_numbers(j, r);
    add_failures(j, r);
    text = cJSON_Print(j);
    cJSON_Delete(j);
    return text;
}

err *report_write(const report *r, const options *o, const char *path)
{
    auto_free char *text = encode(r, o);
    auto_fclose FILE *f = NULL;

    if (!text)
        return err_new(ERR_SYSTEM, "the report cannot be encoded");
    if (str_eq(path, "-")) {
        printf("%s\n", text);
        return NULL;
    }
    f = fopen(path, "we");
    if (!f || fprintf(f, "%s\n", text) < 0 || fflush(f))
        return err_errno(errno, "%s", path);
    return NULL;
}
