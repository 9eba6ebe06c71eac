/* histogram.c - durations counted in buckets of three significant digits, in bounded memory.
 *
 * The layout of HdrHistogram: values below 2048 have a bucket each, and every doubling above them
 * is divided into 1024 buckets, so that a bucket is never wider than 1/1024 of its value. */
#include "histogram.h"
#include <berth/mem.h>
#include <math.h>
#include <stddef.h>

enum {
    EXACT_BITS = 11,
    EXACT = 1 << EXACT_BITS, /* values with a bucket of their own */
    PER_OCTAVE = EXACT / 2,
    OCTAVES = 42 - EXACT_BITS,
    BUCKETS = EXACT + OCTAVES * PER_OCTAVE,
};

struct histogram {
    uint64_t count;
    int64_t min, max;
    double sum;
    uint64_t buckets[BUCKETS];
};

static size_t bucket_of(int64_t value)
{
    unsigned shift;

    if (value < EXACT)
        return (size_t)value;
    shift = 63 - (unsigned)__builtin_clzll((unsigned long long)value) - (EXACT_BITS - 1);
    return EXACT + (size_t)(shift - 1) * PER_OCTAVE + ((size_t)(value >> shift) - PER_OCTAVE);
}

/* The largest value that falls into the bucket. */
static int64_t bucket_top(size_t bucket)
{
    size_t above = bucket - EXACT;

    if (bucket < EXACT)
        return (int64_t)bucket;
    return ((int64_t)(above % PER_OCTAVE + PER_OCTAVE + 1) << (above / PER_OCTAVE + 1)) - 1;
}

histogram *histogram_new(void)
{
    return new0(histogram);
}

void histogram_free(histogram *h)
{
    mem_freep(&h);
}

void histogram_record(histogram *h, int64_t value)
{
    if (value < 0)
        value = 0;
    if (value > HISTOGRAM_MAX)
        value = HISTOGRAM_MAX;
    if (!h->count || value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
    h->sum += (double)value;
    h->count++;
    h->buckets[bucket_of(value)]++;
}

uint64_t histogram_count(const histogram *h)
{
    return h->count;
}

int64_t histogram_min(const histogram *h)
{
    return h->min;
}

int64_t histogram_max(const histogram *h)
{
    return h->max;
}

double histogram_mean(const histogram *h)
{
    return h->count ? h->sum / (double)h->count : 0;
}

int64_t histogram_percentile(const histogram *h, double percent)
{
    /* Without the last factor 99.9 % of 1000 values would be 999.0000000000001 of them. */
    double wanted = ceil(percent / 100 * (double)h->count * (1 - 1e-12));
    uint64_t seen = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen && (double)seen >= wanted)
            return bucket_top(i) < h->max ? bucket_top(i) : h->max;
    }
    return 0;
}
