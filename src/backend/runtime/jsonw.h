/* jsonw.h - writing nested JSON straight into a buffer: for objects that have no field list. */
#ifndef BERTH_RUNTIME_JSONW_H
#define BERTH_RUNTIME_JSONW_H

#include <berth/buf.h>
#include <berth/json.h>
#include <stdbool.h>
#include <stdint.h>

/* key NULL: an element of an array. */
static inline void jw_key(buf *b, const char *key)
{
    if (b->len && b->data[b->len - 1] != '{' && b->data[b->len - 1] != '[')
        buf_char(b, ',');
    if (key) {
        json_quote(key, b);
        buf_char(b, ':');
    }
}

static inline void jw_open(buf *b, const char *key, char bracket)
{
    jw_key(b, key);
    buf_char(b, bracket);
}

static inline void jw_close(buf *b, char bracket)
{
    buf_char(b, bracket);
}

static inline void jw_str(buf *b, const char *key, const char *value)
{
    jw_key(b, key);
    json_quote(value, b);
}

static inline void jw_int(buf *b, const char *key, int64_t value)
{
    jw_key(b, key);
    buf_printf(b, "%lld", (long long)value);
}

static inline void jw_bool(buf *b, const char *key, bool value)
{
    jw_key(b, key);
    buf_str(b, value ? "true" : "false");
}

static inline void jw_raw(buf *b, const char *key, const char *json)
{
    jw_key(b, key);
    buf_str(b, json);
}

static inline void jw_strs(buf *b, const char *key, const char *const *items)
{
    jw_open(b, key, '[');
    for (; items && *items; items++)
        jw_str(b, NULL, *items);
    jw_close(b, ']');
}

#endif
