/* archiver.h - the helper that reads and writes files of a container: the daemon's own binary under
 * another name.
 *
 * As the unpacking helper (untar.h) it has no network, few capabilities, bounded memory and time,
 * and the container's root as its root: no path and no link leads outside.
 *
 * Run as: berth-archive OPERATION PATH [OPTION...] [-- PLACE [MODE DESTINATION]...], with the
 * archive to take on descriptor 0, what it tells on 1, the root on 3, and where "--" follows, a
 * directory for that root to be mounted on, and from descriptor 4 on what is mounted in it ("rw" or
 * "ro", where). It first tells one line of JSON about the path (PathStat), then the archive.
 */
#ifndef BERTH_ARCHIVER_H
#define BERTH_ARCHIVER_H

#include <stdbool.h>

#define ARCHIVER_ARG0 "berth-archive"

/* Operations: "stat", "get", "put" (options: "keep-kinds", "owner=UID:GID"), "export" and
 * "layer" (no line; of an overlay's upper directory, its opaque directories on descriptor 4). */

/* How it exits when it could not do its work; the reason is the last line of its stderr. */
enum {
    ARCHIVER_REFUSED = 1,      /* what it was given is at fault */
    ARCHIVER_HOST_FAILED = 2,  /* the host is: no space, no memory, ... */
    ARCHIVER_NOT_THERE = 3,    /* the path is not there */
    ARCHIVER_NO_DIRECTORY = 4, /* the path to extract to is none */
    ARCHIVER_READ_ONLY_ROOT = 5,
    ARCHIVER_READ_ONLY_VOLUME = 6,
};

/* First thing in main: true when this process is the helper; it has then run, with *ret_status. */
bool archiver_main(int argc, char **argv, int *ret_status);

#endif
