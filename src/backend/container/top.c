/* top.c - the processes of a container, as the host's ps shows them.
 *
 * ps runs outside and sees the whole host; its lines are kept for the pids that are in the
 * container's cgroup.  A flow: the pids, ps for them alone, ps for all where it does not take such
 * a list beside the caller's options, what it printed taken apart.  Loop thread only, except job_*.
 */
#include "private.h"
#include <berth/cgroup.h>
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OUTPUT_MAX = 8 << 20, ARGS_MAX = 4096, PS_TIMEOUT_MS = 10 * 1000 };

typedef struct listing {
    container *c; /* referenced */
    char *cgroup, *ps_args;
    arena *arena; /* the caller's, alive until done */
    pid_t *pids;
    size_t n_pids;
    int out, said; /* what ps printed: its list, and why it failed */
    bool failed_once;
    flow *flow;
    top_answer *answer;
    container_done *done;
    void *arg;
} listing;

static err *job_pids(void *st)
{
    listing *l = st;

    l->n_pids = cgroup_pids(l->cgroup, l->arena, &l->pids);
    return NULL;
}

/* ---- ps ---- */

/* The first line of its stderr is the reason. */
static err *reason(const listing *l)
{
    char line[512];
    ssize_t n = pread(l->said, line, sizeof(line) - 1, 0);

    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return err_new(ERR_SYSTEM, "ps: %s", *line ? line : "exit status 1");
}

static void on_ps(void *arg, err *e, const child_exit *exit)
{
    listing *l = arg;

    if (e && !l->failed_once) { /* "f" and its like do not go with a list of pids */
        l->failed_once = true;
        err_free(e);
        e = NULL;
    } else if (e && exit->status > 0) {
        err_free(e);
        e = reason(l);
    }
    flow_resume(l->flow, e);
}

static void run_ps(listing *l, bool with_pids)
{
    const char *program = access("/usr/bin/ps", X_OK) == 0 ? "/usr/bin/ps" : "/bin/ps";
    auto_strv argv = {0};
    auto_buf list = {0};
    child_opts opts = {
        .name = "ps", .timeout_ms = PS_TIMEOUT_MS, .stdout_fd = l->out, .stderr_fd = l->said};
    const child_exit none = {.last_line = ""};
    child *spawned;
    err *e;

    strv_push(&argv, program);
    strv_split(&argv, l->ps_args, ' ');
    for (size_t i = 0; with_pids && i < l->n_pids; i++)
        buf_printf(&list, i ? ",%d" : "-q%d", (int)l->pids[i]);
    if (list.len)
        strv_push(&argv, list.data);
    opts.argv = argv.v;
    if ((e = child_spawn(&opts, on_ps, l, &spawned)))
        on_ps(l, e, &none);
}

static void call_ps(void *st, flow *f)
{
    listing *l = st;

    l->flow = f;
    run_ps(l, true);
}

static bool has_failed(void *st)
{
    return ((listing *)st)->failed_once;
}

static void call_ps_of_all(void *st, flow *f)
{
    listing *l = st;

    l->flow = f;
    if (ftruncate(l->out, 0) < 0 || lseek(l->out, 0, SEEK_SET) < 0 || ftruncate(l->said, 0) < 0 ||
        lseek(l->said, 0, SEEK_SET) < 0)
        flow_resume(f, err_errno(errno, "ps"));
    else
        run_ps(l, false);
}

/* ---- what it printed ---- */

/* The next word of ASCII blanks' making; NULL at the end. */
static char *next_word(char **cursor)
{
    char *word = *cursor + strspn(*cursor, " \t\v\f\r");

    if (!*word)
        return NULL;
    *cursor = word + strcspn(word, " \t\v\f\r");
    if (**cursor)
        *(*cursor)++ = '\0';
    return word;
}

static bool is_ours(const listing *l, long pid)
{
    for (size_t i = 0; i < l->n_pids; i++)
        if (l->pids[i] == pid)
            return true;
    return false;
}

/* As many words as there are titles; the last one is the rest of the line. */
static err *take_line(listing *l, char *line, size_t pid_at, json_strs *row)
{
    size_t titles = l->answer->titles.n;
    char *word = NULL, *end;
    long pid = 0;

    while (row->n + 1 < titles && (word = next_word(&line))) {
        if (row->n == pid_at) {
            pid = strtol(word, &end, 10);
            if (*end || end == word)
                return err_new(ERR_SYSTEM, "Unexpected pid '%s'", word);
        }
        json_strs_add(row, l->arena, word);
    }
    line += strspn(line, " \t\v\f\r");
    if (row->n == pid_at)
        pid = strtol(line, NULL, 10);
    if (!is_ours(l, pid)) {
        *row = (json_strs){0};
        return NULL;
    }
    for (char *last = line + strlen(line); last > line && isspace((unsigned char)last[-1]);)
        *--last = '\0';
    json_strs_add(row, l->arena, line);
    return NULL;
}

static err *read_output(int fd, char **ret_text)
{
    char *text = xcalloc(OUTPUT_MAX + 1, 1);
    ssize_t n, at = 0;

    while (at < OUTPUT_MAX && (n = pread(fd, text + at, (size_t)(OUTPUT_MAX - at), at)) > 0)
        at += n;
    *ret_text = text;
    return at < OUTPUT_MAX ? NULL : err_new(ERR_SYSTEM, "ps: its output is too long");
}

static err *job_parse(void *st)
{
    listing *l = st;
    auto_free char *text = NULL;
    auto_buf rows = {0};
    char *cursor, *line, *word;
    size_t pid_at = SIZE_MAX;

    TRY(read_output(l->out, &text));
    cursor = text;
    line = strsep(&cursor, "\n");
    while (line && (word = next_word(&line))) {
        if (pid_at == SIZE_MAX && str_eq(word, "PID"))
            pid_at = l->answer->titles.n;
        json_strs_add(&l->answer->titles, l->arena, word);
    }
    if (pid_at == SIZE_MAX)
        return err_new(ERR_SYSTEM, "Couldn't find PID field in ps output");
    buf_char(&rows, '[');
    while (cursor && (line = strsep(&cursor, "\n"))) {
        json_strs row = {0};

        if (!*line)
            continue;
        TRY(take_line(l, line, pid_at, &row));
        for (size_t i = 0; i < row.n; i++) {
            buf_str(&rows, i ? "," : rows.len > 1 ? ",[" : "[");
            json_quote(row.v[i], &rows);
        }
        if (row.n)
            buf_char(&rows, ']');
    }
    buf_char(&rows, ']');
    l->answer->processes.text = arena_strdup(l->arena, rows.data);
    return NULL;
}

static void listing_free(void *st)
{
    listing *l = st;

    if (!l)
        return;
    container_unref(l->c);
    mem_closep(&l->out);
    mem_closep(&l->said);
    free(l->cgroup);
    free(l->ps_args);
    free(l);
}

static const flow_step top_steps[] = {
    {"pids", JOB(job_pids)},
    {"ps", CALL(call_ps)},
    {"ps of all", CALL(call_ps_of_all), .when = has_failed},
    {"parse", JOB(job_parse)},
    {0},
};
const flow_def top_flow = {"container.top", top_steps, listing_free, HANGUP_UNWIND};

static void on_listed(void *arg, void *st, err *e)
{
    listing *l = st;

    (void)arg;
    if (!e)
        container_event(l->c, "top", NULL);
    l->done(l->arg, e);
}

/* A title of the caller's own could call another column PID. */
static err *args_check(const char *ps_args)
{
    regmatch_t m[3];
    regex_t re;
    err *e = NULL;

    if (strlen(ps_args) > ARGS_MAX)
        return err_new(ERR_INVALID, "ps_args is too long");
    if (regcomp(&re, "[[:space:]]+([^[:space:]]*)=[[:space:]]*(PID[^[:space:]]*)", REG_EXTENDED))
        abort();
    for (const char *at = ps_args; !e && regexec(&re, at, 3, m, 0) == 0; at += m[0].rm_eo)
        if (m[1].rm_eo - m[1].rm_so != 3 || strncmp(at + m[1].rm_so, "pid", 3) != 0)
            e = err_new(ERR_SYSTEM, "specifying \"%.*s=%.*s\" is not allowed",
                        (int)(m[1].rm_eo - m[1].rm_so), at + m[1].rm_so,
                        (int)(m[2].rm_eo - m[2].rm_so), at + m[2].rm_so);
    regfree(&re);
    return e;
}

void container_top(container *c, const char *ps_args, arena *a, top_answer *answer,
                   container_done *done, void *arg)
{
    const char *args = str_or(ps_args, "-ef");
    listing *l;
    auto_close int out = memfd_create("ps", MFD_CLOEXEC), said = memfd_create("ps", MFD_CLOEXEC);
    err *e = args_check(args);

    if (!e)
        e = container_check_runs(c);
    if (!e && (out < 0 || said < 0))
        e = err_errno(errno, "ps");
    if (e) {
        container_refuse(e, done, arg);
        return;
    }
    l = new0(listing);
    *l = (listing){.c = container_ref(c),
                   .cgroup = container_cgroup(c),
                   .ps_args = xstrdup(args),
                   .arena = a,
                   .out = take_fd(&out),
                   .said = take_fd(&said),
                   .answer = answer,
                   .done = done,
                   .arg = arg};
    flow_begin(&top_flow, l, on_listed, NULL);
}
