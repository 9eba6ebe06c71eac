/* histogram.h - durations counted in buckets of three significant digits, in bounded memory. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

/* Larger values (73 minutes in nanoseconds) are counted as this one. */
#define HISTOGRAM_MAX ((INT64_C(1) << 42) - 1)

typedef struct histogram histogram;

histogram *histogram_new(void);
void histogram_free(histogram *h);
void histogram_record(histogram *h, int64_t value); /* a negative value counts as 0 */
uint64_t histogram_count(const histogram *h);
int64_t histogram_min(const histogram *h); /* exact; 0 of an empty one, as all below */
int64_t histogram_max(const histogram *h); /* exact */
double histogram_mean(const histogram *h); /* exact */
/* The smallest value that percent of all values do not exceed, at most 0.1 % too high. */
int64_t histogram_percentile(const histogram *h, double percent);

#endif
