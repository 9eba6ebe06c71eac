/* confine.h - what the unpacking helper gives up before it reads a byte. */
#ifndef BERTH_IMAGE_CONFINE_H
#define BERTH_IMAGE_CONFINE_H

#include <berth/err.h>
#include <stdbool.h>

/* Namespaces, limits, the directory root_fd as root, capabilities, no new code.  For a process of
 * its own. */
/* own_mounts: the mounts of this process are its own already, and stay. */
must_check err *confine(int root_fd, bool own_mounts);

#endif
