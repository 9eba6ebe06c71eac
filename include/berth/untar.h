/* untar.h - the helper that unpacks archives: the daemon's own binary under another name.
 *
 * It drops to the capabilities that unpacking needs, has no network, bounded memory and time, and
 * reaches every path by openat2 from the root's descriptor: no archive reaches outside. */
#ifndef BERTH_UNTAR_H
#define BERTH_UNTAR_H

#include <stdbool.h>

#define UNTAR_ARG0 "berth-untar"

/* How it exits when it could not do its work; the reason is the last line of its stderr. */
enum {
    UNTAR_REFUSED = 1,     /* the archive is at fault */
    UNTAR_HOST_FAILED = 2, /* the host is: no space, no memory, ... */
};

/* First thing in main: true when this process is the helper; it has then run, with *ret_status. */
bool untar_main(int argc, char **argv, int *ret_status);

#endif
