/* docker.h - the few calls of the API that prepare and clean up, and the bodies that scenarios
 * send. */
#ifndef BENCH_DOCKER_H
#define BENCH_DOCKER_H

#include "bench.h"

/* The body of a create: the image, network and labels of this run, and cmd ({"true", NULL}).  The
 * caller frees it. */
char *docker_create_body(const bench *b, const char *const *cmd);
/* The same with more members, given as a JSON object. */
char *docker_create_body_with(const bench *b, const char *const *cmd, const char *more);
must_check err *docker_create(bench *b, const char *body, char **ret_id);
must_check err *docker_start(bench *b, const char *id);
/* Remove every container with this label ("berth-bench=1"), forced.  *ret_n: how many; the first
 * error does not end it. */
must_check err *docker_sweep(bench *b, const char *label, uint64_t *ret_n);
/* The string member of a JSON object, copied; NULL when there is none. */
char *docker_member(const char *json, const char *name);

#endif
