/* json_decode.c - from text to structs, along their field lists.
 *
 * cJSON parses; before it, one pass over the text refuses what it would let through (depth, NUL,
 * bad UTF-8) and carries long integers past its doubles: a literal of more than 15 digits becomes a
 * string behind LONG_MARK, which only numbers understand.  Any thread. */
#include "json_scan.h"
#include <berth/json.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct path { /* where we are, for messages: on the stack of the walk */
    const struct path *up;
    const char *key; /* NULL: index */
    size_t index;
} path;

typedef struct decoder {
    arena *a;
    int api_version;
} decoder;

static void path_print(const path *p, buf *out)
{
    if (!p)
        return;
    path_print(p->up, out);
    if (!p->key)
        buf_printf(out, "[%zu]", p->index);
    else
        buf_printf(out, "%s%s", out->len ? "." : "", p->key);
}

static err *wrong(const path *p, const char *what)
{
    auto_buf where = {0};

    path_print(p, &where);
    return err_new(ERR_INVALID, "%s: %s", where.data ? where.data : "body", what);
}

static err *decode_object(const decoder *d, const json_type *t, const cJSON *j, void *to,
                          const path *p);

static err *decode_string(const decoder *d, const cJSON *j, char **ret, const path *p)
{
    if (!cJSON_IsString(j) || json_is_long(j->valuestring))
        return wrong(p, "not a string");
    *ret = arena_strdup(d->a, j->valuestring);
    return NULL;
}

static err *decode_int(const cJSON *j, int64_t *ret, const path *p)
{
    if (cJSON_IsString(j) && json_is_long(j->valuestring)) {
        if (!str_to_int64(j->valuestring + strlen(JSON_LONG_MARK), ret))
            return wrong(p, "number out of range");
        return NULL;
    }
    if (!cJSON_IsNumber(j))
        return wrong(p, "not a number");
    if (j->valuedouble != floor(j->valuedouble) || fabs(j->valuedouble) > 9007199254740992.0)
        return wrong(p, "not a whole number");
    *ret = (int64_t)j->valuedouble;
    return NULL;
}

static err *decode_bool(const cJSON *j, bool *ret, const path *p)
{
    if (!cJSON_IsBool(j))
        return wrong(p, "not a boolean");
    *ret = cJSON_IsTrue(j);
    return NULL;
}

/* null among strings is "", as for Go. */
static err *decode_strs(const decoder *d, const cJSON *j, json_strs *ret, bool or_one,
                        const path *p)
{
    json_strs list = {.set = true};
    const cJSON *item;

    if (or_one && cJSON_IsString(j)) {
        list.v = arena_alloc(d->a, json_room(1) * sizeof(*list.v));
        TRY(decode_string(d, j, &list.v[list.n++], p));
        *ret = list;
        return NULL;
    }
    if (!cJSON_IsArray(j))
        return wrong(p, "not a list of strings");
    list.v = arena_alloc(d->a, json_room((size_t)cJSON_GetArraySize(j)) * sizeof(*list.v));
    cJSON_ArrayForEach (item, j) {
        path at = {p, NULL, list.n};

        if (cJSON_IsNull(item))
            list.v[list.n++] = arena_strdup(d->a, "");
        else
            TRY(decode_string(d, item, &list.v[list.n++], &at));
    }
    *ret = list;
    return NULL;
}

static size_t key_index(char **keys, size_t n, const char *key)
{
    size_t i = 0;

    while (i < n && strcmp(keys[i], key) != 0)
        i++;
    return i;
}

static err *decode_map(const decoder *d, const cJSON *j, json_map *ret, const path *p)
{
    size_t size = json_room((size_t)cJSON_GetArraySize(j));
    json_map map = {.set = true};
    const cJSON *item;

    if (!cJSON_IsObject(j))
        return wrong(p, "not an object of strings");
    map.keys = arena_alloc(d->a, size * sizeof(*map.keys));
    map.values = arena_alloc(d->a, size * sizeof(*map.values));
    cJSON_ArrayForEach (item, j) {
        path at = {p, item->string, 0};
        size_t i = size <= 1024 ? key_index(map.keys, map.n, item->string) : map.n;

        map.keys[i] = arena_strdup(d->a, item->string);
        map.values[i] = arena_strdup(d->a, "");
        if (!cJSON_IsNull(item))
            TRY(decode_string(d, item, &map.values[i], &at));
        map.n += i == map.n;
    }
    *ret = map;
    return NULL;
}

static err *decode_set(const decoder *d, const cJSON *j, json_strs *ret, const path *p)
{
    json_strs set = {.set = true};
    const cJSON *item;

    if (!cJSON_IsObject(j))
        return wrong(p, "not an object");
    set.v = arena_alloc(d->a, json_room((size_t)cJSON_GetArraySize(j)) * sizeof(*set.v));
    cJSON_ArrayForEach (item, j) {
        path at = {p, item->string, 0};

        if (!cJSON_IsObject(item) && !cJSON_IsNull(item))
            return wrong(&at, "not an object");
        set.v[set.n++] = arena_strdup(d->a, item->string);
    }
    *ret = set;
    return NULL;
}

static err *decode_raw(const decoder *d, const cJSON *j, json_raw *ret)
{
    char *text = cJSON_PrintUnformatted(j);

    if (!text)
        return err_new(ERR_SYSTEM, "out of memory");
    json_unmark_longs(text);
    ret->text = arena_strdup(d->a, text);
    cJSON_free(text);
    return NULL;
}

static err *decode_list(const decoder *d, const json_type *t, const cJSON *j, json_list *ret,
                        const path *p)
{
    json_list list = {.set = true};
    const cJSON *item;

    if (!cJSON_IsArray(j))
        return wrong(p, "not a list");
    list.v = arena_alloc(d->a, json_room((size_t)cJSON_GetArraySize(j)) * t->size);
    cJSON_ArrayForEach (item, j) {
        path at = {p, NULL, list.n};

        if (!cJSON_IsNull(item))
            TRY(decode_object(d, t, item, (char *)list.v + list.n * t->size, &at));
        list.n++;
    }
    *ret = list;
    return NULL;
}

static err *decode_mapof(const decoder *d, const json_type *t, const cJSON *j, json_mapof *ret,
                         const path *p)
{
    size_t size = json_room((size_t)cJSON_GetArraySize(j));
    json_mapof map = {.set = true};
    const cJSON *item;

    if (!cJSON_IsObject(j))
        return wrong(p, "not an object");
    map.v = arena_alloc(d->a, size * t->size);
    map.keys = arena_alloc(d->a, size * sizeof(*map.keys));
    cJSON_ArrayForEach (item, j) {
        path at = {p, item->string, 0};
        size_t i = size <= 1024 ? key_index(map.keys, map.n, item->string) : map.n;
        char *to = (char *)map.v + i * t->size;

        map.keys[i] = arena_strdup(d->a, item->string);
        memset(to, 0, t->size);
        if (!cJSON_IsNull(item))
            TRY(decode_object(d, t, item, to, &at));
        map.n += i == map.n;
    }
    *ret = map;
    return NULL;
}

static err *decode_maplist(const decoder *d, const json_type *t, const cJSON *j, json_maplist *ret,
                           const path *p)
{
    size_t size = json_room((size_t)cJSON_GetArraySize(j));
    json_maplist map = {.set = true};
    const cJSON *item;

    if (!cJSON_IsObject(j))
        return wrong(p, "not an object");
    map.v = arena_alloc(d->a, size * sizeof(*map.v));
    map.keys = arena_alloc(d->a, size * sizeof(*map.keys));
    cJSON_ArrayForEach (item, j) {
        path at = {p, item->string, 0};
        size_t i = size <= 1024 ? key_index(map.keys, map.n, item->string) : map.n;

        map.keys[i] = arena_strdup(d->a, item->string);
        map.v[i] = (json_list){0};
        if (!cJSON_IsNull(item))
            TRY(decode_list(d, t, item, &map.v[i], &at));
        map.n += i == map.n;
    }
    *ret = map;
    return NULL;
}

static err *decode_value(const decoder *d, const json_field *f, const cJSON *j, void *to,
                         const path *p)
{
    switch (f->kind) {
    case JSON_STR:
    case JSON_OPT_STR:
        return decode_string(d, j, to, p);
    case JSON_INT:
        return decode_int(j, to, p);
    case JSON_OPT_INT:
        ((json_opt_int *)to)->set = true;
        return decode_int(j, &((json_opt_int *)to)->n, p);
    case JSON_NUM:
        if (!cJSON_IsNumber(j))
            return wrong(p, "not a number");
        *(double *)to = j->valuedouble;
        return NULL;
    case JSON_BOOL:
        return decode_bool(j, to, p);
    case JSON_OPT_BOOL:
        ((json_opt_bool *)to)->set = true;
        return decode_bool(j, &((json_opt_bool *)to)->b, p);
    case JSON_STRS:
        return decode_strs(d, j, to, false, p);
    case JSON_CMD:
        return decode_strs(d, j, to, true, p);
    case JSON_MAP:
        return decode_map(d, j, to, p);
    case JSON_SET:
        return decode_set(d, j, to, p);
    case JSON_RAW:
        return decode_raw(d, j, to);
    case JSON_OBJ:
        return decode_object(d, f->type, j, to, p);
    case JSON_OBJP:
        *(void **)to = arena_alloc(d->a, f->type->size);
        return decode_object(d, f->type, j, *(void **)to, p);
    case JSON_OBJS:
        return decode_list(d, f->type, j, to, p);
    case JSON_MAPOF:
        return decode_mapof(d, f->type, j, to, p);
    case JSON_MAPLISTOF:
        return decode_maplist(d, f->type, j, to, p);
    }
    abort();
}

static const json_field *field_for(const json_type *t, const char *key)
{
    const json_field *near = NULL;

    for (const json_field *f = t->fields; f->key; f++) {
        if (strcmp(f->key, key) == 0)
            return f;
        if (!near && str_eq_nocase(f->key, key))
            near = f;
    }
    return near;
}

static err *decode_object(const decoder *d, const json_type *t, const cJSON *j, void *to,
                          const path *p)
{
    const cJSON *item;

    if (!cJSON_IsObject(j))
        return wrong(p, "not an object");
    cJSON_ArrayForEach (item, j) {
        const json_field *f = field_for(t, item->string);
        path at = {p, f ? f->key : NULL, 0};

        if (f && !cJSON_IsNull(item) && json_field_applies(f, d->api_version))
            TRY(decode_value(d, f, item, (char *)to + f->offset, &at));
    }
    return NULL;
}

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

static void tree_free(void *tree)
{
    cJSON_Delete(tree);
}

err *json_decode(const json_type *type, const char *text, size_t n, int api_version, arena *a,
                 void *ret)
{
    decoder d = {a, api_version};
    auto_buf marked = {0};
    const char *end = NULL;
    cJSON *tree;
    err *e;

    if (is_blank(text, n))
        return err_new(ERR_INVALID, "invalid JSON: got EOF while reading request body");
    TRY(json_scan(text, n, &marked));
    if (marked.len) {
        text = marked.data;
        n = marked.len;
    }
    tree = cJSON_ParseWithLengthOpts(text, n, &end, false);
    if (!tree)
        return err_new(ERR_INVALID, "invalid JSON: unexpected input at byte %zu",
                       end ? (size_t)(end - text) : 0);
    if (!is_blank(end, n - (size_t)(end - text)))
        e = err_new(ERR_INVALID, "unexpected content after JSON");
    else
        e = decode_object(&d, type, tree, ret, NULL);
    tree_free(tree);
    return e;
}
