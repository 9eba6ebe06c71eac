/* crew.h - connections that are kept busy with operations, at their own speed or by plan.
 *
 * A slot is the place of one operation at a time: begin starts it, slot_done ends it, and the crew
 * gives the slot its next one.  Loop thread only. */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include "bench.h"
#include "pace.h"

typedef struct crew crew;

typedef struct slot {
    crew *crew;
    bench *b;
    client *client; /* shared by the slots of one connection */
    size_t index;
    int64_t due_ns; /* the operation's time counts from here */
    bool counted;   /* not part of the warm-up */
    void *arg;
} slot;

/* Runs the loop until --count or --duration is reached and every operation has ended.  connections
 * times pipeline slots; ctrl-C lets what is in flight end, and a second one does not wait for it.
 */
void crew_run(bench *b, size_t connections, size_t pipeline, void (*begin)(slot *s), void *arg);
void slot_done(slot *s, bool ok);
/* A second connection of the slot's own, for answers that end with their connection. */
client *slot_stream(slot *s);

#endif
