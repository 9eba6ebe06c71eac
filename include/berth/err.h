/* err.h - errors as values: one channel, returned, never dropped.
 *
 * NULL means success.  The class and the exact Docker wording are chosen where the fact is known;
 * http maps the class to a status.  Any thread; an err belongs to whoever holds the pointer. */
#ifndef BERTH_ERR_H
#define BERTH_ERR_H

#include <stdbool.h>

typedef enum err_class { /* what kind of trouble; the value is the HTTP status that tells it */
                         ERR_NOT_MODIFIED = 304,
                         ERR_INVALID = 400,
                         ERR_UNAUTHORIZED = 401,
                         ERR_FORBIDDEN = 403,
                         ERR_NOT_FOUND = 404,
                         ERR_TIMEOUT = 408,
                         ERR_CONFLICT = 409,
                         ERR_TOO_LARGE = 413,
                         ERR_CANCELLED = 499,
                         ERR_SYSTEM = 500,
                         ERR_UNSUPPORTED = 501,
                         ERR_UNAVAILABLE = 503,
} err_class;

typedef struct err err;

#define must_check             __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

must_check err *err_new(err_class kind, const char *fmt, ...) printf_like(2, 3);
/* "fmt: No such file or directory"; ERR_SYSTEM. */
must_check err *err_errno(int errnum, const char *fmt, ...) printf_like(2, 3);
/* "fmt: inner", keeps inner's class; consumes inner.  NULL in, NULL out. */
must_check err *err_wrap(err *inner, const char *fmt, ...) printf_like(2, 3);
/* A copy that the caller owns; NULL for NULL. */
must_check err *err_copy(const err *e);

err_class err_kind(const err *e);
const char *err_message(const err *e); /* owned by e; "" for NULL */
/* The errno that err_errno was given, through any wrapping; 0 when there was none. */
int err_errnum(const err *e);
void err_free(err *e);
/* Log e at warn under the given event and free it: for undo steps, where nobody waits. */
void err_log(err *e, const char *event);

static inline void err_freep(err **e)
{
    err_free(*e);
}
#define auto_err __attribute__((cleanup(err_freep))) err

#define TRY(call)         \
    do {                  \
        err *e_ = (call); \
        if (e_)           \
            return e_;    \
    } while (0)

#endif
