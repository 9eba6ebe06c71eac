/* proc.h - what processes cost, read from /proc. */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <berth/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct proc {
    int pid, parent;
    uint64_t cpu_ns; /* user and system, with the children it has waited for */
    uint64_t pid_ns; /* inode of its pid namespace; 0: not ours to see */
    char name[16];
} proc;

typedef struct proc_table {
    proc *v;
    size_t n;
} proc_table;

typedef struct proc_memory {
    uint64_t pss, rss; /* bytes */
    size_t processes;
} proc_memory;

void proc_table_read(proc_table *ret);
void proc_table_done(proc_table *t);
#define auto_proc_table __attribute__((cleanup(proc_table_done))) proc_table

const proc *proc_table_find(const proc_table *t, int pid); /* NULL: not there */
/* CPU of pid and of everything below it.  In a pid namespace that is not ours it is the CPU of the
 * whole namespace, which has what was reparented to its init, too. */
uint64_t proc_engine_cpu(const proc_table *t, int pid);
/* Memory of pid and its descendants, without helpers and without processes of another pid
 * namespace: the containers. */
void proc_daemon_memory(const proc_table *t, int pid, const strv *helpers, proc_memory *ret);
/* Memory of the helpers in the daemon's pid namespace that before did not have. */
void proc_helper_memory(const proc_table *t, const proc_table *before, int pid, const strv *helpers,
                        proc_memory *ret);
void proc_memory_of(int pid, proc_memory *add);

uint64_t proc_machine_cpu(void); /* of everything on the machine, ns; clock ticks */
uint64_t proc_own_cpu(void);     /* of this process, ns */

#endif
