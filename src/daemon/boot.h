/* boot.h - the daemon as a whole: up, running, down; and what the files of this folder share. */
#ifndef BERTH_DAEMON_BOOT_H
#define BERTH_DAEMON_BOOT_H

#include "config.h"
#include <berth/http.h>
#include <berth/timer.h>

/* Runs the daemon until it is told to end; the exit status. */
int daemon_run(int argc, char **argv, config *c);

/* ---- between the files of the daemon; loop thread only ---- */
struct the_daemon {
    int argc;
    char **argv;
    config *c;         /* of the start: what cannot change */
    const config *now; /* of the last reload: what can (options with .reloads) */
    http_server *server;
    http_tls *tls;
    unsigned interrupts;
};
extern struct the_daemon the_daemon;

/* place.c: the files that say we are here. */
must_check err *place_take(const config *c);
void place_leave(void);
/* The group of unix sockets as a number, "" when nobody but root may use them. */
char *place_group(const config *c);

/* rooms.c: what the daemon consists of, in the order in which it comes up. */
struct runtime_set;
must_check err *rooms_up(void);
void rooms_down(void);
void rooms_set_routes(void);
void rooms_set_registries(const config *c); /* how registries are spoken to */
must_check err *rooms_runtimes(const config *c, struct runtime_set **ret_set); /* any thread */

/* signals.c */
must_check err *signals_take(void);

/* reload.c: SIGHUP. */
void reload_begin(void);
void reload_done(void); /* frees what the last one left */
void reload_log_level(const config *c);

/* notify.c: a line for the service manager, when there is one. */
void notify_manager(const char *lines);
/* Tells it that the loop turns, as often as it asked to be told. */
void notify_alive_begin(void);
void notify_alive_end(void);

#endif
