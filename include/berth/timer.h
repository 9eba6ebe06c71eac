/* timer.h - one-shot and repeating timers.  Loop thread only. */
#ifndef BERTH_TIMER_H
#define BERTH_TIMER_H

#include <stdint.h>

typedef struct timer timer;

timer *timer_start(const char *name, uint64_t after_ms, void (*fn)(void *arg), void *arg);
timer *timer_every(const char *name, uint64_t period_ms, void (*fn)(void *arg), void *arg);
void timer_again(timer *t, uint64_t after_ms); /* restart, also after it fired */
void timer_stop(timer *t);                     /* frees; NULL is fine; also from within fn */

#endif
