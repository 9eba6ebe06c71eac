/* confine.h - what the unpacking helper gives up before it reads a byte. */
#ifndef BERTH_IMAGE_CONFINE_H
#define BERTH_IMAGE_CONFINE_H

#include <berth/err.h>

/* Namespaces, limits, the directory root_fd as root, capabilities, no new code.  For a process of
 * its own. */
must_check err *confine(int root_fd);

#endif
