/* json.c - handling decoded objects: deep copies, lists and maps that grow in an arena.  Any
 * thread. */
#include "json_scan.h"
#include <berth/json.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

/* Room is always the power of two that json_room gives, so it is full exactly when n is one. */
static void *grown(arena *a, void *old, size_t n, size_t size)
{
    void *fresh;

    if (n & (n - 1))
        return old;
    fresh = arena_alloc(a, json_room(n + 1) * size);
    if (n)
        memcpy(fresh, old, n * size);
    return fresh;
}

const char *json_map_get(const json_map *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->keys[i], key) == 0)
            return m->values[i];
    return NULL;
}

void json_map_set(json_map *m, arena *a, const char *key, const char *value)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->keys[i], key) == 0) {
            m->values[i] = arena_strdup(a, value);
            return;
        }
    }
    m->keys = grown(a, m->keys, m->n, sizeof(*m->keys));
    m->values = grown(a, m->values, m->n, sizeof(*m->values));
    m->keys[m->n] = arena_strdup(a, key);
    m->values[m->n++] = arena_strdup(a, value);
    m->set = true;
}

void json_strs_add(json_strs *s, arena *a, const char *item)
{
    s->v = grown(a, s->v, s->n, sizeof(*s->v));
    s->v[s->n++] = arena_strdup(a, item);
    s->set = true;
}

void *json_list_add(json_list *l, arena *a, const json_type *type)
{
    char *at;

    l->v = grown(a, l->v, l->n, type->size);
    l->set = true;
    at = (char *)l->v + l->n++ * type->size;
    memset(at, 0, type->size);
    return at;
}

void *json_mapof_add(json_mapof *m, arena *a, const json_type *type, const char *key)
{
    char *at = json_mapof_get(m, type, key);

    if (at)
        return at;
    m->v = grown(a, m->v, m->n, type->size);
    m->keys = grown(a, m->keys, m->n, sizeof(*m->keys));
    m->keys[m->n] = arena_strdup(a, key);
    m->set = true;
    at = (char *)m->v + m->n++ * type->size;
    memset(at, 0, type->size);
    return at;
}

json_list *json_maplist_at(json_maplist *m, arena *a, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->keys[i], key) == 0)
            return &m->v[i];
    m->v = grown(a, m->v, m->n, sizeof(*m->v));
    m->keys = grown(a, m->keys, m->n, sizeof(*m->keys));
    m->keys[m->n] = arena_strdup(a, key);
    m->set = true;
    m->v[m->n] = (json_list){0};
    return &m->v[m->n++];
}

void *json_mapof_get(const json_mapof *m, const json_type *type, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->keys[i], key) == 0)
            return (char *)m->v + i * type->size;
    return NULL;
}

static void copy_strs(json_strs *s, arena *a)
{
    char **from = s->v;

    s->v = arena_alloc(a, json_room(s->n) * sizeof(*s->v));
    for (size_t i = 0; i < s->n; i++)
        s->v[i] = arena_strdup(a, from[i]);
}

static char **copy_keys(char **keys, size_t n, arena *a)
{
    json_strs s = {keys, n, true};

    copy_strs(&s, a);
    return s.v;
}

static void *copy_objects(const json_type *t, const void *from, size_t n, arena *a)
{
    char *to = arena_alloc(a, json_room(n) * t->size);

    for (size_t i = 0; i < n; i++)
        json_copy(t, (const char *)from + i * t->size, a, to + i * t->size);
    return to;
}

/* *at is a shallow copy already; what it points to is made its own. */
static void deepen(const json_field *f, void *at, arena *a)
{
    json_map *map = at;
    json_list *list = at;
    json_mapof *mapof = at;
    json_maplist *maplist = at;

    switch (f->kind) {
    case JSON_INT:
    case JSON_OPT_INT:
    case JSON_NUM:
    case JSON_BOOL:
    case JSON_OPT_BOOL:
        return;
    case JSON_STR:
    case JSON_OPT_STR:
    case JSON_RAW:
        *(char **)at = arena_strdup(a, *(char **)at);
        return;
    case JSON_STRS:
    case JSON_CMD:
    case JSON_SET:
        copy_strs(at, a);
        return;
    case JSON_MAP:
        map->keys = copy_keys(map->keys, map->n, a);
        map->values = copy_keys(map->values, map->n, a);
        return;
    case JSON_OBJ: {
        auto_free void *shallow = xmemdup(at, f->type->size);

        json_copy(f->type, shallow, a, at);
        return;
    }
    case JSON_OBJP:
        if (*(void **)at)
            *(void **)at = copy_objects(f->type, *(void **)at, 1, a);
        return;
    case JSON_OBJS:
        list->v = copy_objects(f->type, list->v, list->n, a);
        return;
    case JSON_MAPOF:
        mapof->keys = copy_keys(mapof->keys, mapof->n, a);
        mapof->v = copy_objects(f->type, mapof->v, mapof->n, a);
        return;
    case JSON_MAPLISTOF: {
        json_list *lists = arena_alloc(a, json_room(maplist->n) * sizeof(*lists));

        maplist->keys = copy_keys(maplist->keys, maplist->n, a);
        for (size_t i = 0; i < maplist->n; i++) {
            lists[i] = maplist->v[i];
            lists[i].v = copy_objects(f->type, maplist->v[i].v, maplist->v[i].n, a);
        }
        maplist->v = lists;
        return;
    }
    }
    abort();
}

void json_copy(const json_type *type, const void *from, arena *a, void *to)
{
    memcpy(to, from, type->size);
    for (const json_field *f = type->fields; f->key; f++)
        deepen(f, (char *)to + f->offset, a);
}
