/* flow.h - multi-step work as a table: deed beside undo.
 *
 * Downward while all is well; after an error or a cancel, upward through the undo column.  A row
 * awaits exactly one thing, so the state has one owner at any moment and needs no lock.  Undo runs
 * for every step that began, so it accepts "nothing there"; its failures are logged, the first
 * error is kept.  Cancel begins no further step, awaits the running one, unwinds.  Loop thread
 * only. */
#ifndef BERTH_FLOW_H
#define BERTH_FLOW_H

#include <berth/err.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct flow flow;
typedef struct flow_def flow_def;

typedef enum flow_kind {
    FLOW_NOTHING,
    FLOW_NOW,      /* err *fn(void *state): on the loop, must not block */
    FLOW_JOB,      /* err *job_fn(void *state): on a worker */
    FLOW_SLOW_JOB, /* the same, in at most half of the pool */
    FLOW_SPAWN,    /* void fn(void *state, strv *argv): a child; exit 0 is success, no argv skips;
                    killed after ten minutes */
    FLOW_SLEEP,    /* uint64_t fn(void *state): milliseconds */
    FLOW_CALL,     /* void fn(void *state, flow *f): starts something that ends in flow_resume */
    FLOW_EACH,     /* a child flow per item, at most n at once; the first error cancels the rest */
} flow_kind;

typedef struct flow_act {
    flow_kind kind;
    union {
        err *(*run)(void *state); /* NOW, JOB, SLOW_JOB */
        void (*argv)(void *state, strv *argv);
        uint64_t (*sleep_ms)(void *state);
        void (*call)(void *state, flow *f);
        void *(*next)(
            void *state); /* EACH: state of the next child flow, NULL when there is none */
    };
    const flow_def *each;
    unsigned at_once;
} flow_act;

#define NOW(fn)                       \
    {                                 \
        .kind = FLOW_NOW, .run = (fn) \
    }
#define JOB(fn)                       \
    {                                 \
        .kind = FLOW_JOB, .run = (fn) \
    }
#define SLOW_JOB(fn)                       \
    {                                      \
        .kind = FLOW_SLOW_JOB, .run = (fn) \
    }
#define SPAWN(fn)                        \
    {                                    \
        .kind = FLOW_SPAWN, .argv = (fn) \
    }
#define SLEEP(fn)                            \
    {                                        \
        .kind = FLOW_SLEEP, .sleep_ms = (fn) \
    }
#define CALL(fn)                        \
    {                                   \
        .kind = FLOW_CALL, .call = (fn) \
    }
#define EACH(def, fn, n)                                               \
    {                                                                  \
        .kind = FLOW_EACH, .next = (fn), .each = (def), .at_once = (n) \
    }

typedef struct flow_step {
    const char *name; /* NULL ends the table */
    flow_act act;
    flow_act undo;
    bool (*when)(void *state); /* false: neither done nor undone */
} flow_step;

typedef enum flow_hangup {
    HANGUP_FINISH, /* the client's hang-up changes nothing (start, remove) */
    HANGUP_UNWIND, /* it cancels (pull, build, import) */
} flow_hangup;

struct flow_def {
    const char *name;
    const flow_step *steps;
    void (*free_state)(void *state);
    flow_hangup hangup;
};

/* Runs once, after the last step or the last undo; the state is freed when it returns.  e is owned
 * by the callee; NULL is success.  Never called from within flow_begin. */
typedef void flow_done(void *arg, void *state, err *e);

flow *flow_begin(const flow_def *def, void *state, flow_done *done, void *arg);
void flow_resume(flow *f, err *e); /* what a CALL step awaits; exactly once; consumes e */
void flow_cancel(flow *f);         /* only while done has not run */
bool flow_is_cancelled(const flow *f);
/* Within a CALL step: fn(state) is told of a cancel, so that what is awaited can be cut short (it
 * still ends in flow_resume).  Forgotten when the step ends. */
void flow_on_cancel(flow *f, void (*fn)(void *state));
void flow_hangup_of(flow *f); /* the client of this flow went away: cancels where def says so */
unsigned flows_running(void);

/* Tests replace every act by calling a hook instead: see test/unit/loop/flow_torture_test.c.  While
 * there is one, every step's "when" is true. */
typedef err *flow_hook(const flow_def *def, const flow_step *step, bool undo, void *state);
void flow_set_hook(flow_hook *hook);

#endif
