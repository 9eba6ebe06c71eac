/* exit_record.h - the exit status on disk, before anybody is told. */
#ifndef MONITOR_EXIT_RECORD_H
#define MONITOR_EXIT_RECORD_H

#include <berth/err.h>
#include <stdbool.h>
#include <stdint.h>

/* Make room for the record while there is room: a disk that fills up later cannot lose the status.
 */
must_check err *exit_record_reserve(const char *path);
must_check err *exit_record_write(const char *path, int code, int64_t finished_ns, bool oom);
void exit_record_cancel(const char *path); /* nothing was run: the reserve goes */

#endif
