/* filters.h - the `filters` query parameter, in both shapes clients send:
 * {"label":["a=b"]} and {"label":{"a=b":true}}. */
#ifndef BERTH_FILTERS_H
#define BERTH_FILTERS_H

#include <berth/arena.h>
#include <berth/err.h>
#include <berth/json.h>
#include <stdbool.h>

typedef struct filters filters;

/* text NULL or "" gives no filters.  allowed: NULL-terminated keys; another key is ERR_INVALID
 * "invalid filter 'x'", not JSON is "invalid filter". */
must_check err *filters_parse(const char *text, const char *const *allowed, arena *a,
                              filters **ret);
bool filters_has(const filters *f, const char *key);
size_t filters_count(const filters *f, const char *key);
const char *filters_nth(const filters *f, const char *key, size_t i);
/* No such key, or one value equals. */
bool filters_match_exact(const filters *f, const char *key, const char *value);
/* No such key, or one value equals or is a regular expression (unanchored, RE2-like subset by POSIX
 * ERE) found in value. */
bool filters_match_regex(const filters *f, const char *key, const char *value);
/* A shell glob ("busy*:latest"), whole value. */
bool filters_glob(const char *pattern, const char *value);
/* Every "k" or "k=v" under key is among labels. */
bool filters_match_labels(const filters *f, const char *key, const json_map *labels);
/* true/false/1/0 under key; ERR_INVALID when it is something else; otherwise when absent. */
must_check err *filters_bool(const filters *f, const char *key, bool otherwise, bool *ret);

#endif
