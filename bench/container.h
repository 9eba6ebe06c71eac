/* container.h - the steps that cycles have in common. */
#ifndef BENCH_CONTAINER_H
#define BENCH_CONTAINER_H

#include "cycle.h"

/* The worker's arg is a struct that begins with this. */
typedef struct container_args {
    char *create_body;
} container_args;

/* Named berth-bench-RUN-NUMBER. */
void container_create(worker *w, buf *out);
bool container_created(worker *w, const char *body); /* keeps the id */
void container_start(worker *w, buf *out);
void container_wait(worker *w, buf *out);
bool container_waited(worker *w, const char *body); /* exit status 0 */
void container_delete(worker *w, buf *out);

#endif
