/* log.h - the daemon's own log: an event and key/value pairs.
 *
 *     log_info("container started", "id", c->id, "ms", ms);
 *
 * Keys are string literals, values strings, integers, bools or doubles.  Up to eight pairs.
 * Lines go to stderr as text (time level event key=value) or JSON.  Any thread. */
#ifndef BERTH_LOG_H
#define BERTH_LOG_H

#include <stdbool.h>
#include <stdint.h>

typedef enum log_level {
    LOG_LEVEL_FATAL,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE,
} log_level;

typedef struct log_value {
    enum { LOG_STR, LOG_INT, LOG_UINT, LOG_DOUBLE, LOG_BOOL } kind;
    union {
        const char *s;
        int64_t i;
        uint64_t u;
        double d;
        bool b;
    };
} log_value;

typedef struct log_pair {
    const char *key;
    log_value value;
} log_pair;

void log_set_level(log_level level);
log_level log_get_level(void);
bool log_parse_level(const char *name,
                     log_level *ret_level); /* panic fatal error warn info debug trace */
void log_set_json(bool json);
/* Rooms whose trace is open, comma separated, as in BERTH_TRACE=flow,http. */
void log_set_trace(const char *rooms);
bool log_traces(const char *room);
/* One line.  pairs ends at the first NULL key. */
void log_write(log_level level, const char *event, const log_pair *pairs);

static inline log_value log_from_str(const char *s)
{
    return (log_value){.kind = LOG_STR, .s = s};
}
static inline log_value log_from_int(int64_t i)
{
    return (log_value){.kind = LOG_INT, .i = i};
}
static inline log_value log_from_uint(uint64_t u)
{
    return (log_value){.kind = LOG_UINT, .u = u};
}
static inline log_value log_from_double(double d)
{
    return (log_value){.kind = LOG_DOUBLE, .d = d};
}
static inline log_value log_from_bool(bool b)
{
    return (log_value){.kind = LOG_BOOL, .b = b};
}
#define LOG_VALUE(x) \
    _Generic((x), char *: log_from_str, const char *: log_from_str, bool: log_from_bool,           \
        float: log_from_double, double: log_from_double, unsigned char: log_from_uint,             \
        unsigned short: log_from_uint, unsigned: log_from_uint, unsigned long: log_from_uint,      \
        unsigned long long: log_from_uint, default: log_from_int)(x)

#define LOG_PAIR(k, v)  \
    {                   \
        k, LOG_VALUE(v) \
    }
#define LOG_P1(e)
#define LOG_P3(e, k, v)                                                     LOG_PAIR(k, v),
#define LOG_P5(e, k, v, ...)                                                LOG_PAIR(k, v), LOG_P3(e, __VA_ARGS__)
#define LOG_P7(e, k, v, ...)                                                LOG_PAIR(k, v), LOG_P5(e, __VA_ARGS__)
#define LOG_P9(e, k, v, ...)                                                LOG_PAIR(k, v), LOG_P7(e, __VA_ARGS__)
#define LOG_P11(e, k, v, ...)                                               LOG_PAIR(k, v), LOG_P9(e, __VA_ARGS__)
#define LOG_P13(e, k, v, ...)                                               LOG_PAIR(k, v), LOG_P11(e, __VA_ARGS__)
#define LOG_P15(e, k, v, ...)                                               LOG_PAIR(k, v), LOG_P13(e, __VA_ARGS__)
#define LOG_P17(e, k, v, ...)                                               LOG_PAIR(k, v), LOG_P15(e, __VA_ARGS__)
#define LOG_FIRST(e, ...)                                                   e
#define LOG_18TH(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, ...) r
#define LOG_EXPAND(...)                                                                           \
    LOG_18TH(__VA_ARGS__, LOG_P17, , LOG_P15, , LOG_P13, , LOG_P11, , LOG_P9, , LOG_P7, , LOG_P5, \
             , LOG_P3, , LOG_P1, )
#define LOG_WRITE(level, ...)                   \
    log_write(level, LOG_FIRST(__VA_ARGS__, 0), \
              (const log_pair[]){LOG_EXPAND(__VA_ARGS__)(__VA_ARGS__){0}})
#define log_at(level, ...)                 \
    do {                                   \
        if ((level) <= log_get_level())    \
            LOG_WRITE(level, __VA_ARGS__); \
    } while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* log_trace("flow", "step done", "name", name): only where BERTH_TRACE opens that room. */
#define log_trace(room, ...)                         \
    do {                                             \
        if (log_traces(room))                        \
            LOG_WRITE(LOG_LEVEL_TRACE, __VA_ARGS__); \
    } while (0)

#endif
