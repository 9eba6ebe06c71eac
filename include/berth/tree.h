/* tree.h - removing and counting a directory tree without ever leaving it.  Worker threads and
 * start-up only. */
#ifndef BERTH_TREE_H
#define BERTH_TREE_H

#include <berth/err.h>
#include <stddef.h>
#include <stdint.h>

/* Everything below path and path itself; symbolic links are removed, never followed; what is
 * mounted inside, be it of the same file system, is an error, not entered.  Nothing there is
 * success. */
must_check err *tree_remove(const char *path);
/* The bytes of the files below path, each inode once, directories not; what cannot be read
 * counts nothing.  0 for nothing there. */
int64_t tree_bytes(const char *path);
/* mkdir -p of path with mode for the last component; the others 0711. */
must_check err *tree_make(const char *path, unsigned mode);
/* Write a whole file: new inode, then renamed over path. */
must_check err *file_write(const char *path, const void *p, size_t n, unsigned mode);

#endif
