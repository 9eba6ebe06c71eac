/* job.c - the worker pool: libuv's, with slow jobs held to half of it.
 *
 * libuv gives all user work one queue, so a few tree walks could occupy every worker while a fast
 * commit waits.  Slow jobs therefore queue here and only half the pool's number is handed on.
 * Loop thread only; fn alone runs on a worker. */
#include "uvloop.h"
#include <berth/job.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { POOL_MIN = 4, POOL_MAX = 8, POOL_LIMIT = 1024 };

typedef struct job {
    uv_work_t req;
    const char *name;
    job_fn *fn;
    void *arg;
    job_done *done;
    err *e;
    bool slow;
    struct job *next; /* in the queue of slow jobs */
} job;

const size_t job_bytes = sizeof(job);

static struct {
    unsigned running;
    unsigned slow_running, slow_max;
    job *first, *last; /* slow jobs that wait, oldest first */
} jobs;

static void job_on_worker(uv_work_t *req)
{
    job *j = req->data;

    j->e = j->fn(j->arg);
}

static void on_job_done(uv_work_t *req, int status);

static void submit(job *j)
{
    int rc = uv_queue_work(loop_uv(), &j->req, job_on_worker, on_job_done);

    assert(rc == 0); /* it can only refuse a missing callback */
    (void)rc;
}

static void submit_slow(void)
{
    while (jobs.first && jobs.slow_running < jobs.slow_max) {
        job *j = jobs.first;

        jobs.first = j->next;
        if (!jobs.first)
            jobs.last = NULL;
        jobs.slow_running++;
        submit(j);
    }
}

static void on_job_done(uv_work_t *req, int status)
{
    job *j = req->data;
    LOOP_CALLBACK(j->name);

    assert(status == 0); /* nobody calls uv_cancel */
    (void)status;
    jobs.running--;
    if (j->slow) {
        jobs.slow_running--;
        submit_slow();
    }
    j->done(j->arg, j->e);
    free(j);
}

static job *new_job(const char *name, job_fn *fn, void *arg, job_done *done)
{
    job *j = new0(job);

    *j = (job){.name = name, .fn = fn, .arg = arg, .done = done};
    j->req.data = j;
    jobs.running++;
    return j;
}

/* libuv reads the size from the environment when the first job is begun.  With fewer than two
 * workers "half of the pool" would be all or nothing. */
void jobs_init(void)
{
    const char *text = getenv("UV_THREADPOOL_SIZE");
    uint64_t size = 2ull * uv_available_parallelism();
    char digits[24];

    if (text && str_to_uint64(text, &size))
        size = size < 2 ? 2 : size > POOL_LIMIT ? POOL_LIMIT : size;
    else
        size = size < POOL_MIN ? POOL_MIN : size > POOL_MAX ? POOL_MAX : size;
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)size);
    setenv("UV_THREADPOOL_SIZE", digits, 1);
    jobs.slow_max = (unsigned)size / 2;
}

void job_begin(const char *name, job_fn *fn, void *arg, job_done *done)
{
    submit(new_job(name, fn, arg, done));
}

void job_begin_slow(const char *name, job_fn *fn, void *arg, job_done *done)
{
    job *j = new_job(name, fn, arg, done);

    assert(on_loop());
    j->slow = true;
    if (jobs.last)
        jobs.last->next = j;
    else
        jobs.first = j;
    jobs.last = j;
    submit_slow();
}

unsigned jobs_running(void)
{
    return jobs.running;
}
