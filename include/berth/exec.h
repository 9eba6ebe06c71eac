/* exec.h - further processes in a running container.  Loop thread only. */
#ifndef BERTH_EXEC_H
#define BERTH_EXEC_H

#include <berth/api/container.h>
#include <berth/container.h>

typedef struct exec exec;

void execs_init(void); /* registers the hooks with the container room */
void execs_done(void); /* before containers_done */

/* ERR_CONFLICT when the container does not run; ERR_INVALID without a command. */
must_check err *exec_create(container *c, const exec_config *config, exec **ret_exec);
must_check err *exec_find(const char *id, exec **ret_exec); /* 404 "No such exec instance: X" */
const char *exec_id(const exec *x);
container *exec_container(const exec *x);
const exec_config *exec_config_of(const exec *x);
/* ERR_CONFLICT when it runs or has run, or its container does not run. */
must_check err *exec_may_start(const exec *x);

/* Output and end of an attached start; a start that fails ends with the error, and the exit code is
 * then 126 or 127. detached: ev may be NULL, done tells. */
typedef struct exec_client exec_client;
exec_client *exec_start_attached(exec *x, const exec_start_options *opts, const attach_events *ev,
                                 void *arg);
void exec_start_detached(exec *x, const exec_start_options *opts, container_done *done, void *arg);
bool exec_stdin(exec_client *cl, const char *p, size_t n);
void exec_stdin_eof(exec_client *cl);
void exec_pause(exec_client *cl, bool paused);
void exec_client_free(exec_client *cl);

void exec_resize(exec *x, unsigned rows, unsigned cols, container_done *done, void *arg);
void exec_inspected(const exec *x, arena *a, exec_inspect_answer *ret);
#endif
