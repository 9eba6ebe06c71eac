/* reference.h - image references: "busybox", "ghcr.io/o/r:tag", "name@sha256:...", and ids. */
#ifndef BERTH_REFERENCE_H
#define BERTH_REFERENCE_H

#include <berth/err.h>
#include <stdbool.h>

typedef struct reference {
    char *domain; /* "docker.io" */
    char *path;   /* "library/busybox" */
    char *tag;    /* NULL when none was given */
    char *digest; /* "sha256:..." or NULL */
} reference;

/* ERR_INVALID "invalid reference format" and its like. */
must_check err *reference_parse(const char *text, reference *ret);
/* In place of the one it may have; ERR_INVALID "invalid tag format". */
must_check err *reference_set_tag(reference *r, const char *tag);
void reference_done(reference *r);
/* "busybox" of docker.io/library/busybox, "ghcr.io/o/r" of others; caller frees. */
char *reference_familiar_name(const reference *r);
/* Familiar name with ":tag" ("latest" when there is neither tag nor digest) or "@digest"; caller
 * frees. */
char *reference_familiar(const reference *r);

/* "sha256:" and 64 lower-case hex digits: what may become part of a path. */
bool digest_is_valid(const char *text);
bool id_is_hex(const char *text); /* one or more lower-case hex digits, at most 64 */

#endif
