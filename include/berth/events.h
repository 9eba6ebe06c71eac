/* events.h - what happened, to whoever listens: a ring of the last 1,024 and live subscribers.
 *
 * Loop thread only. */
#ifndef BERTH_EVENTS_H
#define BERTH_EVENTS_H

#include <berth/err.h>
#include <berth/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVENTS_RING = 1024 };

typedef struct event event; /* immutable, reference counted, encoded once per shape */

/* attrs may be NULL; copied.  timeNano is strictly increasing. */
void event_emit(const char *type, const char *action, const char *id, const json_map *attrs);

const char *event_type(const event *e);
const char *event_action(const event *e);
const char *event_id(const event *e);
int64_t event_time_ns(const event *e);
const json_map *event_attrs(const event *e);
/* One line of JSON with its newline, as API 1.x wants it (legacy status/id/from below 1.52). */
const char *event_line(event *e, size_t *ret_n);
event *event_ref(event *e);
void event_unref(event *e);

typedef struct event_sub event_sub;
/* fn runs for each new event, in order. */
event_sub *event_subscribe(void (*fn)(void *arg, event *e), void *arg);
void event_unsubscribe(event_sub *s);
/* The ring, oldest first, events at or after since_ns. */
void event_replay(int64_t since_ns, void (*fn)(void *arg, event *e), void *arg);
unsigned event_subscribers(void);
void events_done(void); /* forgets the ring */

#endif
