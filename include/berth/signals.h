/* signals.h - Unix signals as loop callbacks. */
#ifndef BERTH_SIGNALS_H
#define BERTH_SIGNALS_H

#include <berth/err.h>

/* fn runs on the loop for every delivery; a second call for the same signal replaces fn. */
must_check err *signal_on(int signo, void (*fn)(int signo, void *arg), void *arg);
void signals_done(void);

#endif
