/* job.h - blocking work on a worker thread.
 *
 * fn runs on a worker with arg alone: no loop object, no change of what the process shares (cwd,
 * umask, namespaces).  done runs on the loop with fn's error (owned by done).  A running job cannot
 * be stopped.  Slow jobs (tree walks, unpacking) fill at most half of the pool. */
#ifndef BERTH_JOB_H
#define BERTH_JOB_H

#include <berth/err.h>

typedef err *job_fn(void *arg);
typedef void job_done(void *arg, err *e);

void job_begin(const char *name, job_fn *fn, void *arg, job_done *done);
void job_begin_slow(const char *name, job_fn *fn, void *arg, job_done *done);
unsigned jobs_running(void); /* begun and not yet done */

#endif
