/* archive.h - files of a container, in and out, running or not: `docker cp`, export and diff.
 *
 * A container that runs is seen as it sees itself; of one that does not, root and mounts are put
 * together for the helper alone (archiver.h), as an operation of the container.  Loop thread
 * only. */
#ifndef BERTH_ARCHIVE_H
#define BERTH_ARCHIVE_H

#include <berth/container.h>

typedef struct archiving archiving;

typedef enum archive_operation {
    ARCHIVE_STAT,
    ARCHIVE_GET,
    ARCHIVE_PUT,
    ARCHIVE_EXPORT
} archive_operation;

typedef struct archive_opts {
    archive_operation operation;
    const char *path; /* in the container; "" for an export */
    bool keep_kinds;  /* noOverwriteDirNonDir */
    bool own;         /* copyUIDGID: what is put belongs to the container's user */
} archive_opts;

typedef struct archive_events { /* any but on_end may be NULL */
    /* Before all else: PathStat as JSON; "{}" of a put, whose bytes are wanted from now on. */
    void (*on_stat)(void *arg, const char *json);
    bool (*on_data)(void *arg, const char *p, size_t n); /* false: wait for archive_resume */
    void (*on_drain)(void *arg);                         /* archive_write returned false before */
    /* Last.  ERR_NOT_FOUND "Could not find the file x in container y" and dockerd's other words. */
    void (*on_end)(void *arg, err *e);
} archive_events;

archiving *archive_begin(container *c, const archive_opts *o, const archive_events *ev, void *arg);
bool archive_write(archiving *a, const char *p, size_t n); /* false: wait (p was taken) */
void archive_write_end(archiving *a);
void archive_resume(archiving *a);
/* No further callback; the helper is ended, everything is given back. */
void archive_cancel(archiving *a);

/* What is not as the image has it: [{"Path": "/x", "Kind": 0 changed, 1 added, 2 removed}] as JSON
 * text, "null" for nothing; valid during the call. */
void container_changes(container *c, void (*done)(void *arg, err *e, const char *json), void *arg);

#endif
