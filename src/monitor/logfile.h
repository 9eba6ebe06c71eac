/* logfile.h - the container's log in dockerd's json-file form, with rotation. */
#ifndef MONITOR_LOGFILE_H
#define MONITOR_LOGFILE_H

#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct logfile logfile;

typedef struct logfile_spec {
    const char *path, *attrs; /* attrs: a JSON object or "" */
    int64_t max_size;   /* a record that finds the file this big begins a new one; -1: never */
    unsigned max_files; /* with the current one; below 2 the old file is dropped */
    bool compress;
} logfile_spec;

enum { LOG_STDOUT = 0, LOG_STDERR = 1 };

must_check err *logfile_open(const logfile_spec *spec, logfile **ret);
/* Bytes of a stream as they came: whole lines are written, the beginning of a line is kept. */
void logfile_write(logfile *l, unsigned stream, const char *p, size_t n);
void logfile_finish(logfile *l, unsigned stream); /* the stream ended: write what is kept */
/* A rotation is due and the compression of the file before is not done: better read no more. */
bool logfile_is_busy(const logfile *l);
bool logfile_reaped(logfile *l, pid_t pid); /* was that our compressing child? */
/* Where the log ends, and the beginning of a line that is not in it yet (valid until the next
 * write). */
void logfile_position(const logfile *l, int64_t *ret_size, uint64_t *ret_inode);
const char *logfile_kept(const logfile *l, unsigned stream, size_t *ret_n);
void logfile_relax(logfile *l);          /* idle: give scratch memory back */
uint64_t logfile_lost(const logfile *l); /* records that could not be written (disk full) */
int logfile_errno(const logfile *l); /* of the last failed write, 0 when the last one went well */
void logfile_free(logfile *l);

#endif
