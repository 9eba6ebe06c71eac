/* target.h - the request target taken apart: version prefix, path segments, query. */
#ifndef BERTH_HTTP_TARGET_H
#define BERTH_HTTP_TARGET_H

#include <berth/arena.h>
#include <stdbool.h>
#include <stddef.h>

enum { SEGMENTS_MAX = 256 };

typedef struct query_pair {
    const char *name, *value;
} query_pair;

typedef struct target {
    char **segments; /* decoded, without the version */
    size_t n_segments;
    bool slash_at_end;      /* behind the last segment: another resource, as dockerd has it */
    const char *path;       /* decoded, without the version */
    const char *clean_path; /* set when the path is written uncleanly: where it would lead, encoded,
                               with the query */
    bool has_version;
    int major, minor;    /* of the prefix */
    const char *version; /* its text, "1.51" */
    query_pair *query;
    size_t n_query;
} target;

/* 0, or the status to refuse with (bad escapes, an encoded NUL). */
int target_parse(target *t, const char *uri, size_t n, arena *a);

#endif
