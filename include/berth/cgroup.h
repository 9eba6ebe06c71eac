/* cgroup.h - what the kernel says of a container's control group, on v1 and on v2.
 *
 * path is the group's below the hierarchy: "/docker/<id>".  All of it reads small files of the
 * kernel's; any thread, but many of them only in a job. */
#ifndef BERTH_CGROUP_H
#define BERTH_CGROUP_H

#include <berth/api/stats.h>
#include <berth/arena.h>
#include <berth/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

bool cgroup_is_frozen(const char *path); /* false when there is no such group */

/* The processes of the group and of those below it; none when it is gone.  *ret_pids is in a. */
size_t cgroup_pids(const char *path, arena *a, pid_t **ret_pids);

/* Everything but the CPU of the machine, the times and the networks; false when there is no such
 * group.  machine_memory: what is the limit where there is none.  Strings are in a. */
bool cgroup_stats_read(const char *path, int64_t machine_memory, arena *a, stats_answer *ret);

/* Another root than /sys/fs/cgroup and its mode: for tests. */
void cgroup_set_root(const char *root, bool v2);

#endif
