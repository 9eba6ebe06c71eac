/* logs.h - reading a container's json-file log, with its rotated files, forwards and from the end.
 *
 * The file is the truth: a reader takes no memory of the writer and is never in its way.  It holds
 * the files that there are when it begins, so that a rotation takes none of them away.  Blocks are
 * read and formatted on a worker; what is ready is handed out on the loop.
 * Loop thread only. */
#ifndef BERTH_LOGS_H
#define BERTH_LOGS_H

#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct log_reader log_reader;

/* How far a log goes for somebody: the first size bytes of the file that has this inode, and all
 * that is older. */
typedef struct log_position {
    int64_t size;
    uint64_t inode; /* 0: to the end */
} log_position;

typedef struct log_query {
    bool out, err;              /* which streams */
    bool follow;                /* go on at the end of the file until log_reader_finish */
    bool timestamps;            /* "2006-01-02T15:04:05.000000000Z " before each line */
    bool details;               /* the line's attrs, "k=v,k2=v2 ", before it (after the time) */
    bool framed;                /* Docker stream frames (8-byte header); false on a tty: raw */
    int64_t since_ns, until_ns; /* inclusive bounds; 0: none */
    int64_t tail;               /* the last n lines; -1: all */
    log_position stop;          /* without follow and tail */
} log_query;

typedef struct log_reader_events {
    bool (*on_data)(void *arg, const char *p, size_t n); /* false: wait for log_reader_resume */
    void (*on_end)(void *arg, err *e);                   /* last; owned by the callee */
} log_reader_events;

/* Reading begins from the loop.  A missing file is an empty log.  A torn or foreign line is
 * skipped. */
log_reader *log_reader_new(const char *path, const log_query *q, const log_reader_events *ev,
                           void *arg);
void log_reader_resume(log_reader *r);
/* The writer is done: hand out what is there, then end. */
void log_reader_finish(log_reader *r);
void log_reader_free(log_reader *r); /* no further callback; also from within one; NULL is fine */

#endif
