/* loop.h - the one event loop of the process.
 *
 * Loop thread only, except loop_post and on_loop.  No other room sees libuv.
 * A callback that takes longer than BERTH_WATCHDOG_MS (from the environment; 5 when built with the
 * BERTH_WATCHDOG option, else off) is logged by its name. */
#ifndef BERTH_LOOP_H
#define BERTH_LOOP_H

#include <berth/err.h>
#include <stdbool.h>
#include <stdint.h>

must_check err *loop_init(
    void); /* once, before anything else of this room; the caller's thread becomes the loop's */
void loop_run(void);  /* until loop_stop, or until nothing is left to wait for */
void loop_stop(void); /* loop_run returns after the current event */
void loop_done(void); /* closes what is left; asserts that no job is still running */

bool on_loop(void);         /* is this the loop's thread? */
uint64_t loop_now_ms(void); /* monotonic, cached once per event */

/* Call fn(arg) after the current callback has returned: how a callback frees its caller. */
void loop_defer(void (*fn)(void *arg), void *arg);
/* Call fn(arg) on the loop soon.  Any thread. */
void loop_post(void (*fn)(void *arg), void *arg);

/* Append to the text that SIGUSR1 prints (flows, connections): each room registers one printer. */
struct buf;
void loop_on_dump(void (*print)(struct buf *out));
void loop_dump(struct buf *out);

#endif
