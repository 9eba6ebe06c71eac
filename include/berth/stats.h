/* stats.h - what a container uses, once a second for those who watch.  Loop thread only. */
#ifndef BERTH_STATS_H
#define BERTH_STATS_H

#include <berth/api/stats.h>
#include <berth/container.h>

typedef struct stats_watch stats_watch;

/* answer is valid during the call: a reading, with the one before it as precpu where there is one.
 * NULL: the container was removed; last call.  Never from within stats_watch_begin. */
typedef void stats_seen(void *arg, const stats_answer *answer);

/* A reading at once, then one every second; the watchers of one container share them.  A container
 * that does not run gives its name alone. */
stats_watch *stats_watch_begin(container *c, stats_seen *seen, void *arg);
void stats_watch_end(stats_watch *w); /* also from within its call; NULL is fine */

#endif
