/* err.c - errors as values.  Any thread. */
#include <berth/err.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

struct err {
    err_class kind;
    int errnum;
    char *message;
};

static err *err_make(err_class kind, int errnum, char *message)
{
    err *e = new0(err);

    e->kind = kind;
    e->errnum = errnum;
    e->message = message;
    return e;
}

err *err_new(err_class kind, const char *fmt, ...)
{
    va_list ap;
    char *message;

    va_start(ap, fmt);
    message = xvasprintf(fmt, ap);
    va_end(ap);
    return err_make(kind, 0, message);
}

err *err_errno(int errnum, const char *fmt, ...)
{
    auto_free char *what = NULL;
    va_list ap;

    va_start(ap, fmt);
    what = xvasprintf(fmt, ap);
    va_end(ap);
    return err_make(ERR_SYSTEM, errnum, xasprintf("%s: %s", what, strerrordesc_np(errnum)));
}

err *err_wrap(err *inner, const char *fmt, ...)
{
    auto_free char *what = NULL;
    char *message;
    va_list ap;

    if (!inner)
        return NULL;
    va_start(ap, fmt);
    what = xvasprintf(fmt, ap);
    va_end(ap);
    message = xasprintf("%s: %s", what, inner->message);
    free(inner->message);
    inner->message = message;
    return inner;
}

err *err_copy(const err *e)
{
    return e ? err_make(e->kind, e->errnum, xstrdup(e->message)) : NULL;
}

err_class err_kind(const err *e)
{
    return e->kind;
}

const char *err_message(const err *e)
{
    return e ? e->message : "";
}

int err_errnum(const err *e)
{
    return e ? e->errnum : 0;
}

void err_free(err *e)
{
    if (!e)
        return;
    free(e->message);
    free(e);
}

void err_log(err *e, const char *event)
{
    if (!e)
        return;
    log_warn(event, "error", e->message);
    err_free(e);
}
