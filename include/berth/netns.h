/* netns.h - network namespaces that live as a file.
 *
 * A namespace belongs to a thread, so a short-lived thread of its own makes or enters it: the
 * caller's is never changed.  Blocks; any thread. */
#ifndef BERTH_NETNS_H
#define BERTH_NETNS_H

#include <berth/err.h>

/* A new namespace with its loopback up, kept by a bind mount on path (made, with its directory).  A
 * namespace that was left there is replaced.  Nothing is left behind on failure. */
must_check err *netns_create(const char *path);
/* Gives the file back; the kernel takes the namespace down once nobody is in it.  Idempotent. */
must_check err *netns_remove(const char *path);
/* Runs fn(arg) inside the namespace at path, on a thread that ends with it. */
must_check err *netns_run(const char *path, err *(*fn)(void *arg), void *arg);

#endif
