/* report.h - what was measured: phases, numbers, statuses, errors; as a table and as JSON. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "histogram.h"
#include "options.h"
#include <berth/err.h>
#include <stdbool.h>

typedef struct report report;

report *report_new(void);
void report_free(report *r);

histogram *report_phase(report *r, const char *name);            /* found or added; nanoseconds */
const histogram *report_find(const report *r, const char *name); /* NULL: not there */
/* unit is one of ns, B, MB/s, count, 1/s; a number of that name is replaced. */
void report_number(report *r, const char *name, const char *unit, double value);
void report_status(report *r, int status);
/* Something failed, and why; the first 32 different reasons are told apart. */
void report_error(report *r, const char *why);
void report_operation(report *r, bool ok); /* one operation ended */
uint64_t report_operations(const report *r);
uint64_t report_failures(const report *r);
bool report_has_errors(const report *r);
void report_elapsed(report *r, int64_t ns); /* the time that the operations took together */

/* What the engine answered on GET /version, as JSON text. */
void report_server(report *r, const char *version);
void report_interrupted(report *r);
bool report_was_interrupted(const report *r);

void report_print(const report *r, const options *o);
must_check err *report_write(const report *r, const options *o, const char *path);
/* "12.3 ms" of a number with that unit. */
enum { REPORT_TEXT = 32 };
void report_format(double value, const char *unit, char out[REPORT_TEXT]);

#endif
