/* entry.h - one line of a json-file log: found apart, unescaped, formatted for a client. */
#ifndef BERTH_LOGS_ENTRY_H
#define BERTH_LOGS_ENTRY_H

#include <berth/buf.h>
#include <berth/logs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct log_entry {   /* pointers into the line */
    const char *log, *attrs; /* escaped text; attrs with its braces, or NULL */
    size_t log_len, attrs_len;
    bool is_err, ends_line; /* on stderr; the text ends in a newline */
    const char *time;
    size_t time_len;
} log_entry;

/* A line without its newline; false when it is torn or foreign. */
bool log_entry_parse(const char *line, size_t n, log_entry *ret);
bool log_entry_time(const log_entry *e, int64_t *ret_ns);
/* Appends it as the query wants it.  begins: no piece of this text's line came before. */
void log_entry_format(const log_entry *e, const log_query *q, bool begins, buf *out);

#endif
