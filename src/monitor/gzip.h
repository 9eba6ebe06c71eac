/* gzip.h - a rotated log file becomes FILE.gz. */
#ifndef MONITOR_GZIP_H
#define MONITOR_GZIP_H

#include <stdbool.h>
#include <stdint.h>

/* For a forked child: closes every descriptor above 2, writes to, removes from.  last_ns is the
 * time of the last record, kept in gzip's extra field as dockerd does, so that a reader can skip
 * the file. */
bool gzip_file(const char *from, const char *to, int64_t last_ns);

#endif
