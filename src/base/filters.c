/* filters.c - the `filters` query parameter.  Any thread. */
#include "json_scan.h"
#include <berth/filters.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <cjson/cJSON.h>
#include <fnmatch.h>
#include <regex.h>
#include <string.h>

typedef struct filter_key {
    const char *name;
    json_strs values;
    struct filter_key *next;
} filter_key;

struct filters {
    filter_key *keys;
};

static bool is_allowed(const char *key, const char *const *allowed)
{
    for (; *allowed; allowed++)
        if (str_eq(*allowed, key))
            return true;
    return false;
}

/* ["a"], or {"a": true}; what is false does not count. */
static err *take_values(const cJSON *from, arena *a, filter_key *k)
{
    const cJSON *item;

    if (!cJSON_IsArray(from) && !cJSON_IsObject(from))
        return err_new(ERR_INVALID, "invalid filter");
    cJSON_ArrayForEach (item, from) {
        const char *value = cJSON_IsArray(from) ? item->valuestring : item->string;

        if (cJSON_IsArray(from) ? !cJSON_IsString(item) : !cJSON_IsBool(item))
            return err_new(ERR_INVALID, "invalid filter");
        if (!cJSON_IsFalse(item))
            json_strs_add(&k->values, a, value);
    }
    return NULL;
}

static err *take_keys(const cJSON *tree, const char *const *allowed, arena *a, filters *f)
{
    const cJSON *item;

    if (!cJSON_IsObject(tree))
        return err_new(ERR_INVALID, "invalid filter");
    cJSON_ArrayForEach (item, tree) {
        filter_key *k;

        if (!is_allowed(item->string, allowed))
            return err_new(ERR_INVALID, "invalid filter '%s'", item->string);
        k = arena_alloc(a, sizeof(*k));
        k->name = arena_strdup(a, item->string);
        k->next = f->keys;
        f->keys = k;
        TRY(take_values(item, a, k));
    }
    return NULL;
}

err *filters_parse(const char *text, const char *const *allowed, arena *a, filters **ret)
{
    auto_buf marked = {0};
    cJSON *tree;
    err *e;

    *ret = arena_alloc(a, sizeof(**ret));
    if (str_empty(text))
        return NULL;
    e = json_scan(text, strlen(text), &marked);
    if (e) {
        err_free(e);
        return err_new(ERR_INVALID, "invalid filter");
    }
    tree = cJSON_Parse(text);
    if (!tree)
        return err_new(ERR_INVALID, "invalid filter");
    e = take_keys(tree, allowed, a, *ret);
    cJSON_Delete(tree);
    return e;
}

static const filter_key *find(const filters *f, const char *key)
{
    for (const filter_key *k = f->keys; k; k = k->next)
        if (str_eq(k->name, key) && k->values.n)
            return k;
    return NULL;
}

bool filters_has(const filters *f, const char *key)
{
    return find(f, key) != NULL;
}

size_t filters_count(const filters *f, const char *key)
{
    const filter_key *k = find(f, key);

    return k ? k->values.n : 0;
}

const char *filters_nth(const filters *f, const char *key, size_t i)
{
    const filter_key *k = find(f, key);

    return k && i < k->values.n ? k->values.v[i] : NULL;
}

bool filters_match_exact(const filters *f, const char *key, const char *value)
{
    const filter_key *k = find(f, key);

    for (size_t i = 0; k && i < k->values.n; i++)
        if (str_eq(k->values.v[i], value))
            return true;
    return !k;
}

static bool regex_found(const char *pattern, const char *value)
{
    regex_t compiled;
    bool found;

    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB))
        return false;
    found = regexec(&compiled, value, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

bool filters_match_regex(const filters *f, const char *key, const char *value)
{
    const filter_key *k = find(f, key);

    for (size_t i = 0; k && i < k->values.n; i++)
        if (str_eq(k->values.v[i], value) || regex_found(k->values.v[i], value))
            return true;
    return !k;
}

bool filters_glob(const char *pattern, const char *value)
{
    return fnmatch(pattern, value, FNM_PATHNAME) == 0;
}

bool filters_match_labels(const filters *f, const char *key, const json_map *labels)
{
    const filter_key *k = find(f, key);

    for (size_t i = 0; k && i < k->values.n; i++) {
        const char *want = k->values.v[i], *eq = strchr(want, '=');
        auto_free char *name = xstrndup(want, eq ? (size_t)(eq - want) : strlen(want));
        const char *has = json_map_get(labels, name);

        if (!has || (eq && !str_eq(has, eq + 1)))
            return false;
    }
    return true;
}

err *filters_bool(const filters *f, const char *key, bool otherwise, bool *ret)
{
    const char *value = filters_nth(f, key, 0);

    *ret = otherwise;
    if (!value)
        return NULL;
    if (!str_eq(value, "true") && !str_eq(value, "1") && !str_eq(value, "false") &&
        !str_eq(value, "0"))
        return err_new(ERR_INVALID, "invalid filter '%s=%s'", key, value);
    *ret = str_eq(value, "true") || str_eq(value, "1");
    return NULL;
}
