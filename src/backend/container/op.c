/* op.c - one operation at a time per container; the others queue in the order they came, but what
 * an exit calls for comes before whatever was asked meanwhile.
 *
 * An operation is begun with op_begin and is over when its flow calls op_end.  The queue holds a
 * reference on the container.  Reads and kill never come here.  Loop thread only. */
#include "private.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <assert.h>
#include <stdlib.h>

struct op {
    const char *name;
    void (*begin)(container *c, void *arg);
    void *arg;
    op *next;
};

static void run_next(container *c)
{
    op *o = c->ops_first;

    if (c->op || !o)
        return;
    c->ops_first = o->next;
    if (!c->ops_first)
        c->ops_last = &c->ops_first;
    c->op = o;
    log_trace("op", "operation begins", "op", o->name, "id", c->rec.id);
    o->begin(c, o->arg);
}

static void on_next(void *arg)
{
    container *c = arg;

    run_next(c);
    container_unref(c);
}

static op *op_new(container *c, const char *name, void (*begin)(container *c, void *arg), void *arg)
{
    op *o = new0(op);

    *o = (op){name, begin, arg, NULL};
    if (!c->ops_last)
        c->ops_last = &c->ops_first;
    container_ref(c);
    return o;
}

void op_begin(container *c, const char *name, void (*begin)(container *c, void *arg), void *arg)
{
    op *o = op_new(c, name, begin, arg);

    *c->ops_last = o;
    c->ops_last = &o->next;
    run_next(c);
}

void op_begin_first(container *c, const char *name, void (*begin)(container *c, void *arg),
                    void *arg)
{
    op *o = op_new(c, name, begin, arg);

    o->next = c->ops_first;
    if (!c->ops_first)
        c->ops_last = &o->next;
    c->ops_first = o;
    run_next(c);
}

/* The next one begins from the loop: an operation's end may be deep in somebody's callback. */
void op_end(container *c)
{
    assert(c->op);
    log_trace("op", "operation ends", "op", c->op->name, "id", c->rec.id);
    free(take(c->op));
    loop_defer(on_next, c);
}

const char *op_name(const container *c)
{
    return c->op ? c->op->name : NULL;
}

typedef struct refused {
    container_done *done;
    void *arg;
    err *e;
} refused;

static void on_refused(void *arg)
{
    refused *r = arg;

    r->done(r->arg, r->e);
    free(r);
}

void container_refuse(err *e, container_done *done, void *arg)
{
    refused *r = new0(refused);

    *r = (refused){done, arg, e};
    loop_defer(on_refused, r);
}
