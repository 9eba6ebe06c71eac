/* runtime_command.c - the OCI runtime's short commands on a container: delete, pause, resume,
 * update.
 *
 * Loop thread only. */
#include "private.h"
#include <berth/mem.h>
#include <stdarg.h>

enum { COMMAND_TIMEOUT_MS = 10 * 1000 };

void runtime_command(const container *c, const char *name, child_done *done, void *arg, ...)
{
    auto_strv argv = {0};
    child_opts opts = {.name = name, .timeout_ms = COMMAND_TIMEOUT_MS};
    const child_exit none = {.status = -1, .last_line = ""};
    const char *word;
    child *spawned;
    va_list ap;
    err *e;

    if (!c->runtime) { /* it was configured when the container was made */
        done(arg, err_new(ERR_SYSTEM, "unknown or invalid runtime name: %s", c->rec.host->runtime),
             &none);
        return;
    }
    runtime_argv(c->runtime, &argv);
    va_start(ap, arg);
    while ((word = va_arg(ap, const char *)))
        strv_push(&argv, word);
    va_end(ap);
    strv_push(&argv, c->rec.id);
    opts.argv = argv.v;
    if ((e = child_spawn(&opts, done, arg, &spawned)))
        done(arg, e, &none);
}
