/* program.c - a child process of the measurement.  Loop thread only. */
#include "program.h"
#include <berth/mem.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

enum { PATIENCE_S = 15 };

static void on_closed(uv_handle_t *h)
{
    mem_freep(&h);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signo)
{
    program *p = process->data;

    p->process = NULL;
    p->ended = true;
    p->status = (int)status;
    p->signo = signo;
    uv_close((uv_handle_t *)process, on_closed);
    if (p->done)
        p->done(p->arg);
}

static void push_replaced(strv *argv, const char *word, uint64_t run)
{
    static const char mark[] = "{run}";
    auto_buf text = {0};

    for (const char *at; (at = strstr(word, mark)); word = at + sizeof mark - 1) {
        buf_add(&text, word, (size_t)(at - word));
        buf_printf(&text, "%" PRIu64, run);
    }
    buf_str(&text, word);
    strv_push(argv, str_or(text.data, ""));
}

err *program_begin(program *p, bench *b, char *const *command, uint64_t run)
{
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    auto_strv argv = {0};
    uv_process_options_t how = {.exit_cb = on_exit_of, .stdio = stdio, .stdio_count = 3};
    int code;

    for (; *command; command++)
        push_replaced(&argv, *command, run);
    how.file = argv.v[0];
    how.args = argv.v;
    how.flags = UV_PROCESS_DETACHED; /* ctrl-C is for us: it is ended by its pid */
    p->b = b;
    p->ended = false;
    p->process = new0(uv_process_t);
    p->process->data = p;
    code = uv_spawn(&b->loop, p->process, &how);
    if (code) {
        uv_close((uv_handle_t *)take(p->process), on_closed);
        return err_new(ERR_SYSTEM, "%s: %s", argv.v[0], uv_strerror(code));
    }
    p->pid = p->process->pid;
    return NULL;
}

void program_end(program *p)
{
    if (p->process)
        uv_process_kill(p->process, SIGTERM);
    if (p->process && !bench_wait(p->b, &p->ended, PATIENCE_S, p->b->interrupts + 3) && p->process)
        uv_process_kill(p->process, SIGKILL);
    if (p->process)
        bench_wait(p->b, &p->ended, PATIENCE_S, p->b->interrupts + 3);
}
