/* unpack.h - one run of the unpacking helper: an archive in, a directory and its digests out. */
#ifndef BERTH_IMAGE_UNPACK_H
#define BERTH_IMAGE_UNPACK_H

#include "apply.h"
#include <berth/err.h>
#include <berth/sock.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct unpacked {       /* what the helper told */
    char packed[72], plain[72]; /* digests, "sha256:..." */
    int64_t size;
    strv opaques;
} unpacked;
void unpacked_done(unpacked *u);

typedef struct unpack unpack;
/* Fills dir (made before) from in_fd, which stays the caller's; done on the loop, after that u is
 * the callee's. */
must_check err *unpack_begin(const char *dir, apply_mode mode, int in_fd,
                             void (*done)(void *arg, err *e, unpack *u), void *arg, unpack **ret);
void unpack_kill(unpack *u); /* NULL and one that has ended are fine */
/* Worker: reads the helper's result and marks opaque directories of a layer; then u is freed. */
must_check err *unpack_result(unpack *u, const char *dir, unpacked *ret);
void unpack_free(unpack *u);

#endif
