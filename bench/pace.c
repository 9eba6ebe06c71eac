/* pace.c - when the next operation begins, and from when its time counts. */
#include "pace.h"

static int64_t seconds_ns(double s)
{
    return (int64_t)(s * 1e9);
}

void pace_init(pace *p, int64_t now_ns, double warmup_s, double duration_s, uint64_t limit,
               double rate)
{
    *p = (pace){.start_ns = now_ns, .limit = limit, .rate = rate};
    p->counts_ns = now_ns + seconds_ns(warmup_s);
    p->end_ns = duration_s > 0 ? p->counts_ns + seconds_ns(duration_s) : INT64_MAX;
}

int64_t pace_next(const pace *p)
{
    return p->rate > 0 ? p->start_ns + seconds_ns((double)p->issued / p->rate) : 0;
}

bool pace_counts(const pace *p, int64_t due_ns)
{
    return due_ns >= p->counts_ns;
}

/* With a plan it is the plan that ends: what was due before the end is begun, if late. */
bool pace_over(const pace *p, int64_t now_ns)
{
    int64_t due_ns = p->rate > 0 ? pace_next(p) : now_ns;

    return p->stopped || due_ns >= p->end_ns || (p->limit && p->counted >= p->limit);
}

bool pace_take(pace *p, int64_t now_ns, int64_t *ret_due_ns)
{
    int64_t due_ns = p->rate > 0 ? pace_next(p) : now_ns;

    if (pace_over(p, now_ns) || due_ns > now_ns)
        return false;
    p->issued++;
    if (pace_counts(p, due_ns))
        p->counted++;
    *ret_due_ns = due_ns;
    return true;
}
