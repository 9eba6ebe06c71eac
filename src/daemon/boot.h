/* boot.h - the daemon as a whole: up, running, down. */
#ifndef BERTH_DAEMON_BOOT_H
#define BERTH_DAEMON_BOOT_H

#include "config.h"

/* Runs the daemon until it is told to end; the exit status. */
int daemon_run(int argc, char **argv, config *c);

/* notify.c: a line for the service manager, when there is one. */
void notify_manager(const char *lines);

#endif
