/* control.h - the daemon's connection: one at a time, a newer one replaces it. */
#ifndef MONITOR_CONTROL_H
#define MONITOR_CONTROL_H

#include "session.h"
#include <berth/err.h>

void control_adopt(int fd); /* the connection we were born with */
must_check err *control_listen(int run_dir_fd);
void control_close(int run_dir_fd); /* removes the socket's name */
bool control_is_connected(void);
bool control_has_unsent(void);

/* Answer a request; e NULL is success, freed.  s: what was started, with its pidfd; else NULL. */
void control_reply(uint32_t request, err *e, const session *s);
void control_exit(const session *s); /* tell of an end */
void control_trouble(const char *text);
void control_state(void); /* if a daemon waits for it: the container's start is settled */

#endif
