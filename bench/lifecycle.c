/* lifecycle.c - create, start, wait and delete of `true`: what a CI job does all day. */
#include "container.h"
#include "docker.h"
#include "scenarios.h"
#include <berth/mem.h>

static const cycle_step steps[] = {
    {"create", container_create, container_created},
    {"start", container_start},
    {"wait", container_wait, container_waited},
    {"delete", container_delete, .tidy = true},
    {0},
};

err *lifecycle_run(bench *b)
{
    container_args args = {docker_create_body(b, (const char *const[]){"true", NULL})};

    cycle_run(b, steps, &args);
    mem_freep(&args.create_body);
    return NULL;
}
