/* tarfile.h - what is uploaded: a tar of one file of random bytes, lines, a tar from a file. */
#ifndef BENCH_TARFILE_H
#define BENCH_TARFILE_H

#include "client.h"
#include <berth/err.h>

/* The same bytes each time; the caller frees it with tarfile_free. */
upload tarfile_random(const char *name, uint64_t size);
upload tarfile_lines(uint64_t size); /* no tar: lines of 100 random letters */
/* ERR_SYSTEM when it cannot be read. */
must_check err *tarfile_read(const char *path, upload *ret);
void tarfile_free(upload *u);

#endif
