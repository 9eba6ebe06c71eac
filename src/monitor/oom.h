/* oom.h - did the kernel's OOM killer hit this cgroup? */
#ifndef MONITOR_OOM_H
#define MONITOR_OOM_H

#include <stdint.h>
#include <sys/types.h>

int oom_open(pid_t pid); /* a descriptor on the counters of pid's cgroup, -1 when there are none */
int64_t oom_kills(int fd); /* how often, 0 when unknown */

#endif
