/* log.c - the daemon's own log: one line per event, in one write(2), to stderr.
 *
 * Values are quoted and escaped, so no input can forge a line.  Any thread. */
#include <berth/buf.h>
#include <berth/json.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"fatal", "error", "warning", "info", "debug", "trace"};
static _Atomic int log_level_now = LOG_LEVEL_INFO;
static _Atomic bool as_json;
static strv trace_rooms; /* set once, before other threads run */

void log_set_level(log_level level)
{
    log_level_now = level;
}

log_level log_get_level(void)
{
    return (log_level)log_level_now;
}

bool log_parse_level(const char *name, log_level *ret_level)
{
    for (size_t i = 0; i < COUNT(level_names); i++) {
        if (strcmp(level_names[i], name) == 0) {
            *ret_level = (log_level)i;
            return true;
        }
    }
    if (strcmp(name, "panic") == 0)
        *ret_level = LOG_LEVEL_FATAL;
    else if (strcmp(name, "warn") == 0)
        *ret_level = LOG_LEVEL_WARN;
    else
        return false;
    return true;
}

void log_set_json(bool json)
{
    as_json = json;
}

void log_set_trace(const char *rooms)
{
    strv_done(&trace_rooms);
    if (rooms)
        strv_split(&trace_rooms, rooms, ',');
}

bool log_traces(const char *room)
{
    return trace_rooms.n && (strv_has(&trace_rooms, room) || strv_has(&trace_rooms, "all"));
}

static bool is_plain(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("-._/@^+:", *s))
            return false;
    return true;
}

static void text_value(buf *b, const log_value *v)
{
    switch (v->kind) {
    case LOG_STR:
        if (v->s && is_plain(v->s))
            buf_str(b, v->s);
        else
            json_quote(v->s ? v->s : "", b);
        break;
    case LOG_INT:
        buf_printf(b, "%lld", (long long)v->i);
        break;
    case LOG_UINT:
        buf_printf(b, "%llu", (unsigned long long)v->u);
        break;
    case LOG_DOUBLE:
        buf_printf(b, "%g", v->d);
        break;
    case LOG_BOOL:
        buf_str(b, v->b ? "true" : "false");
        break;
    }
}

static void json_value(buf *b, const log_value *v)
{
    if (v->kind == LOG_STR)
        json_quote(v->s ? v->s : "", b);
    else
        text_value(b, v);
}

static void write_text(buf *b, const char *time, log_level level, const char *event,
                       const log_pair *pairs)
{
    buf_printf(b, "time=\"%s\" level=%s msg=", time, level_names[level]);
    json_quote(event, b);
    for (; pairs->key; pairs++) {
        buf_printf(b, " %s=", pairs->key);
        text_value(b, &pairs->value);
    }
}

static void write_json(buf *b, const char *time, log_level level, const char *event,
                       const log_pair *pairs)
{
    buf_printf(b, "{\"level\":\"%s\",\"msg\":", level_names[level]);
    json_quote(event, b);
    buf_printf(b, ",\"time\":\"%s\"", time);
    for (; pairs->key; pairs++) {
        buf_char(b, ',');
        json_quote(pairs->key, b);
        buf_char(b, ':');
        json_value(b, &pairs->value);
    }
    buf_char(b, '}');
}

void log_write(log_level level, const char *event, const log_pair *pairs)
{
    auto_buf line = {0};
    char time[TIME_TEXT];
    ssize_t n;

    time_rfc3339_fixed(time_now_ns(), time);
    (as_json ? write_json : write_text)(&line, time, level, event, pairs);
    buf_char(&line, '\n');
    n = write(STDERR_FILENO, line.data, line.len);
    (void)n; /* a log that cannot be written has nowhere to say so */
}
