/* json_encode.c - from structs to text, along their field lists, straight into the buffer.  Any
 * thread. */
#include "json_scan.h"
#include <berth/json.h>
#include <berth/str.h>
#include <stdlib.h>

static void quote_special(unsigned char c, buf *out)
{
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *at = memchr(named, c, sizeof(named) - 1);

    if (at)
        buf_printf(out, "\\%c", letters[at - named]);
    else
        buf_printf(out, "\\u%04x", c);
}

/* U+2028 and U+2029 end lines in JavaScript: escaped, as Go does. */
static bool is_line_end(const char *s, size_t len)
{
    return len == 3 && s[0] == '\xe2' && s[1] == '\x80' && (s[2] == '\xa8' || s[2] == '\xa9');
}

#define EACH_BYTE(c) (0x0101010101010101ULL * (c))

/* Whether eight bytes are ASCII that stands for itself.  A byte below n has its top bit set in
 * word - n; a byte that equals c is zero in word ^ c; what is not ASCII has its top bit set. */
static bool is_plain_word(uint64_t word)
{
    uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');

    return !(
        (word | (word - EACH_BYTE(' ')) | (quote - EACH_BYTE(1)) | (backslash - EACH_BYTE(1))) &
        EACH_BYTE(0x80));
}

/* How many bytes at s need no look. */
static size_t plain_run(const char *s, size_t n)
{
    size_t i = 0;

    for (uint64_t word; i + sizeof(word) <= n; i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        if (!is_plain_word(word))
            break;
    }
    while (i < n && (unsigned char)s[i] >= ' ' && (unsigned char)s[i] < 0x80 && s[i] != '"' &&
           s[i] != '\\')
        i++;
    return i;
}

void json_quote_n(const char *s, size_t n, buf *out)
{
    size_t from = 0, i = plain_run(s, n);

    buf_reserve(out, n + 2);
    buf_char(out, '"');
    while (i < n) {
        unsigned char c = (unsigned char)s[i];
        size_t len = c < 0x80 ? 1 : str_utf8_length(s + i, n - i);

        if (len == 1 ? c >= ' ' && c != '"' && c != '\\' : len && !is_line_end(s + i, len)) {
            i += len;
            continue;
        }
        buf_add(out, s + from, i - from);
        if (!len)
            buf_str(out, "\\ufffd");
        else if (len == 3)
            buf_printf(out, "\\u202%c", s[i + 2] == '\xa8' ? '8' : '9');
        else
            quote_special(c, out);
        i += len ? len : 1;
        from = i;
    }
    buf_add(out, s + from, n - from);
    buf_char(out, '"');
}

void json_quote(const char *s, buf *out)
{
    json_quote_n(s, strlen(s), out);
}

static void encode_strs(const json_strs *list, buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(list->v[i] ? list->v[i] : "", out);
    }
    buf_char(out, ']');
}

static void encode_set(const json_strs *set, buf *out)
{
    buf_char(out, '{');
    for (size_t i = 0; i < set->n; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(set->v[i], out);
        buf_str(out, ":{}");
    }
    buf_char(out, '}');
}

static void encode_map(const json_map *map, buf *out)
{
    buf_char(out, '{');
    for (size_t i = 0; i < map->n; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(map->keys[i], out);
        buf_char(out, ':');
        json_quote(map->values[i] ? map->values[i] : "", out);
    }
    buf_char(out, '}');
}

static void encode_mapof(const json_type *t, const json_mapof *map, int api_version, buf *out)
{
    buf_char(out, '{');
    for (size_t i = 0; i < map->n; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(map->keys[i], out);
        buf_char(out, ':');
        json_encode(t, (const char *)map->v + i * t->size, api_version, out);
    }
    buf_char(out, '}');
}

static void encode_maplist(const json_type *t, const json_maplist *map, int api_version, buf *out)
{
    buf_char(out, '{');
    for (size_t i = 0; i < map->n; i++) {
        if (i)
            buf_char(out, ',');
        json_quote(map->keys[i], out);
        buf_char(out, ':');
        if (map->v[i].set || map->v[i].n)
            json_encode_list(t, map->v[i].v, map->v[i].n, api_version, out);
        else
            buf_str(out, "null");
    }
    buf_char(out, '}');
}

/* A nil list or map: null, or empty where the field says so. */
static bool encode_nil(const json_field *f, bool is_set, size_t n, const char *empty, buf *out)
{
    if (is_set || n)
        return false;
    buf_str(out, f->flags & EMPTY_LIST ? empty : "null");
    return true;
}

static void encode_value(const json_field *f, const void *from, int api_version, buf *out)
{
    const json_strs *strs = from;
    const json_opt_int *opt_int = from;
    const json_opt_bool *opt_bool = from;
    const char *s;

    switch (f->kind) {
    case JSON_STR:
    case JSON_OPT_STR:
        s = *(char *const *)from;
        if (s || f->kind == JSON_STR)
            json_quote(s ? s : "", out);
        else
            buf_str(out, "null");
        return;
    case JSON_INT:
        buf_int(out, *(const int64_t *)from);
        return;
    case JSON_OPT_INT:
        if (opt_int->set)
            buf_int(out, opt_int->n);
        else
            buf_str(out, "null");
        return;
    case JSON_NUM:
        buf_printf(out, "%.17g", *(const double *)from);
        return;
    case JSON_BOOL:
        buf_str(out, *(const bool *)from ? "true" : "false");
        return;
    case JSON_OPT_BOOL:
        buf_str(out, !opt_bool->set ? "null" : opt_bool->b ? "true" : "false");
        return;
    case JSON_STRS:
    case JSON_CMD:
        if (!encode_nil(f, strs->set, strs->n, "[]", out))
            encode_strs(strs, out);
        return;
    case JSON_SET:
        if (!encode_nil(f, strs->set, strs->n, "{}", out))
            encode_set(strs, out);
        return;
    case JSON_MAP:
        if (!encode_nil(f, ((const json_map *)from)->set, ((const json_map *)from)->n, "{}", out))
            encode_map(from, out);
        return;
    case JSON_RAW:
        s = ((const json_raw *)from)->text;
        buf_str(out, s ? s : "null");
        return;
    case JSON_OBJ:
        json_encode(f->type, from, api_version, out);
        return;
    case JSON_OBJP:
        if (*(void *const *)from)
            json_encode(f->type, *(void *const *)from, api_version, out);
        else
            buf_str(out, "null");
        return;
    case JSON_OBJS:
        if (!encode_nil(f, ((const json_list *)from)->set, ((const json_list *)from)->n, "[]", out))
            json_encode_list(f->type, ((const json_list *)from)->v, ((const json_list *)from)->n,
                             api_version, out);
        return;
    case JSON_MAPOF:
        if (!encode_nil(f, ((const json_mapof *)from)->set, ((const json_mapof *)from)->n, "{}",
                        out))
            encode_mapof(f->type, from, api_version, out);
        return;
    case JSON_MAPLISTOF:
        if (!encode_nil(f, ((const json_maplist *)from)->set, ((const json_maplist *)from)->n, "{}",
                        out))
            encode_maplist(f->type, from, api_version, out);
        return;
    }
    abort();
}

static bool is_zeroed(const void *p, size_t n)
{
    const char *bytes = p;

    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool is_empty(const json_field *f, const void *from)
{
    switch (f->kind) {
    case JSON_STR:
    case JSON_OPT_STR:
        return str_empty(*(char *const *)from);
    case JSON_INT:
        return *(const int64_t *)from == 0;
    case JSON_NUM:
        return *(const double *)from == 0;
    case JSON_BOOL:
        return !*(const bool *)from;
    case JSON_OPT_INT:
        return !((const json_opt_int *)from)->set;
    case JSON_OPT_BOOL:
        return !((const json_opt_bool *)from)->set;
    case JSON_STRS:
    case JSON_CMD:
    case JSON_SET:
        return !((const json_strs *)from)->n;
    case JSON_MAP:
        return !((const json_map *)from)->n;
    case JSON_RAW:
        return !((const json_raw *)from)->text;
    case JSON_OBJ:
        return false;
    case JSON_OBJP:
        return !*(void *const *)from;
    case JSON_OBJS:
        return !((const json_list *)from)->n;
    case JSON_MAPOF:
        return !((const json_mapof *)from)->n;
    case JSON_MAPLISTOF:
        return !((const json_maplist *)from)->n;
    }
    abort();
}

static bool is_unset(const json_field *f, const void *from)
{
    switch (f->kind) {
    case JSON_STRS:
    case JSON_CMD:
    case JSON_SET:
        return !((const json_strs *)from)->set;
    case JSON_OPT_STR:
        return !*(char *const *)from;
    default:
        return is_empty(f, from);
    }
}

static bool is_left_out(const json_field *f, const void *from)
{
    if (f->flags & OMIT_EMPTY)
        return is_empty(f, from);
    if (f->flags & OMIT_UNSET)
        return is_unset(f, from);
    return (f->flags & OMIT_ZERO_OBJ) && f->type && is_zeroed(from, f->type->size);
}

void json_encode(const json_type *type, const void *object, int api_version, buf *out)
{
    bool first = true;

    buf_char(out, '{');
    for (const json_field *f = type->fields; f->key; f++) {
        const char *from = (const char *)object + f->offset;

        if (!json_field_applies(f, api_version) || is_left_out(f, from))
            continue;
        buf_add(out, f->name + first, f->name_len - first); /* the first has no comma before it */
        first = false;
        encode_value(f, from, api_version, out);
    }
    buf_char(out, '}');
}

void json_encode_list(const json_type *type, const void *objects, size_t n, int api_version,
                      buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(out, ',');
        json_encode(type, (const char *)objects + i * type->size, api_version, out);
    }
    buf_char(out, ']');
}
