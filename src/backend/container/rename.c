/* rename.c - another name, durable before it is told.
 *
 * The new name is taken at once, so that nobody else gets it; the old one is free when the new one
 * is on the disk.  Loop thread only. */
#include "private.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>

typedef struct renaming {
    container *c; /* held by the operation */
    char *name, *before;
    container_done *done;
    void *arg;
} renaming;

static void renaming_end(renaming *r, err *e)
{
    op_end(r->c);
    r->done(r->arg, e);
    free(r->name);
    free(r->before);
    free(r);
}

static void on_written(void *arg, err *e)
{
    renaming *r = arg;

    if (e) {
        registry_rename(r->c, r->before);
    } else {
        auto_free char *slashed = xasprintf("/%s", r->before);

        networks_renamed(r->c);
        container_event(r->c, "rename", "oldName", slashed, NULL);
    }
    renaming_end(r, e);
}

static err *may_rename(const renaming *r)
{
    if (r->c->removing || r->c->removed)
        return err_new(ERR_CONFLICT, "Container %s is marked for removal and cannot be renamed",
                       r->c->rec.id);
    if (str_eq(r->name, r->c->rec.name))
        return err_new(ERR_INVALID, "Renaming a container with the same name as its current name");
    TRY(err_wrap(name_check(r->name), "Error when allocating new name"));
    return err_wrap(registry_name_free(r->name), "Error when allocating new name");
}

static void rename_begin(container *c, void *arg)
{
    renaming *r = arg;
    err *e = may_rename(r);
    store_batch *b;

    if (e) {
        renaming_end(r, e);
        return;
    }
    r->before = xstrdup(c->rec.name);
    registry_rename(c, r->name);
    b = store_batch_new();
    container_save(c, b);
    store_commit(b, on_written, r);
}

void container_rename(container *c, const char *name, container_done *done, void *arg)
{
    renaming *r;

    if (str_empty(name)) {
        container_refuse(err_new(ERR_INVALID, "Neither old nor new names may be empty"), done, arg);
        return;
    }
    r = new0(renaming);
    *r = (renaming){c, xstrdup(*name == '/' ? name + 1 : name), NULL, done, arg};
    op_begin(c, "rename", rename_begin, r);
}
