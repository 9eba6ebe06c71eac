/* jsonline.h - one record of the json-file log, byte for byte as dockerd writes it. */
#ifndef MONITOR_JSONLINE_H
#define MONITOR_JSONLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer line is split into records of this many bytes. */
enum { JSONLINE_MAX_LINE = 16 * 1024 };

/* The most bytes that a line of n bytes becomes, without its tail. */
static inline size_t jsonline_room(size_t n)
{
    return n * 6 + 16; /* the longest escape is \u00xx */
}

/* Write {"log":"...\n" or without the \n for a partial line; returns the end. */
char *jsonline_head(char *out, const char *line, size_t n, bool partial);
/* Write ,"stream":...,"time":"..."}\n; attrs is a JSON object or ""; returns the end. */
char *jsonline_tail_write(char *out, const char *stream, const char *attrs, int64_t time_ns);

#endif
