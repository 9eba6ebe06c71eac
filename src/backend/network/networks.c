/* networks.c - all networks, found by id, name or the start of an id.  Loop thread only. */
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/store.h>
#include <berth/str.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

JSON_DEFINE(network_record, NETWORK_RECORD)

static network *first;

network *networks_first(void)
{
    return first;
}

void networks_add(network *n)
{
    network **last = &first;

    while (*last)
        last = &(*last)->next;
    *last = n;
    n->next = NULL;
}

void networks_unlist(network *n)
{
    network **at = &first;

    while (*at && *at != n)
        at = &(*at)->next;
    if (*at)
        *at = n->next;
}

network *networks_by_id(const char *id)
{
    for (network *n = first; n; n = n->next)
        if (str_eq(n->id, id))
            return n;
    return NULL;
}

bool networks_name_taken(const char *name)
{
    for (const network *n = first; n; n = n->next)
        if (str_eq(n->name, name) && !n->absent)
            return true;
    return false;
}

network *network_new(const network_record *rec, const network_driver *driver)
{
    network *n = new0(network);

    n->refs = 1;
    n->arena = arena_new();
    json_copy(&network_record_json, rec, n->arena, &n->rec);
    memcpy(n->id, rec->id, ID_TEXT);
    n->name = n->rec.name;
    n->driver = driver;
    return n;
}

void network_unref(network *n)
{
    if (!n || --n->refs)
        return;
    assert(n->endpoints == 0);
    claim_release(n);
    arena_free(n->arena);
    if (!n->predefined)
        free(n);
}

/* ---- from the store ---- */

static err *restore(const network_record *rec, network **ret_n)
{
    const network_driver *driver = driver_find(rec->driver);
    network *n;
    err *e = NULL;

    if (!rec->id || strlen(rec->id) != ID_TEXT - 1 || str_empty(rec->name) || !driver)
        return err_new(ERR_INVALID, "incomplete");
    if (networks_by_id(rec->id) || networks_name_taken(rec->name))
        return err_new(ERR_CONFLICT, "another network has its id or name");
    n = network_new(rec, driver);
    if (!n->rec.config_only) {
        e = claim_recorded(n);
        if (!e && driver->prepare)
            e = driver->prepare(n);
    }
    if (e) {
        network_unref(n);
        return e;
    }
    *ret_n = n;
    return NULL;
}

/* A record that makes no sense is reported and left where it is. */
static err *load_one(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    network_record rec = {0};
    network *n = NULL;
    err *e;

    (void)arg;
    e = json_decode(&network_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec);
    if (!e && str_empty(rec.driver)) /* a predefined one */
        return NULL;
    if (!e)
        e = restore(&rec, &n);
    if (e)
        err_log(err_wrap(e, "%s", key), "record of a network is unusable");
    else
        networks_add(n);
    return NULL;
}

err *networks_load(void)
{
    return store_each("networks", load_one, NULL);
}

void networks_free(void)
{
    for (network *n = first, *next; n; n = next) {
        next = n->next;
        network_unref(n);
    }
    first = NULL;
}

/* ---- looking up ---- */

static bool is_there(const network *n)
{
    return !n->absent && !n->coming && !n->removing;
}

err *network_find(const char *ref, network **ret_n)
{
    network *by_name = NULL, *by_prefix = NULL;
    size_t found = 0;

    for (network *n = first; n && !str_empty(ref); n = n->next) {
        if (!is_there(n))
            continue;
        if (str_eq(n->id, ref)) {
            *ret_n = n;
            return NULL;
        }
        if (str_eq(n->name, ref))
            by_name = n;
        if (str_starts(n->id, ref)) {
            by_prefix = n;
            found++;
        }
    }
    if (!by_name && found > 1)
        return err_new(ERR_INVALID,
                       "network %s is ambiguous (%zu matches found based on ID prefix)", ref,
                       found);
    if (!by_name && !by_prefix)
        return err_new(ERR_NOT_FOUND, "network %s not found", str_or(ref, ""));
    *ret_n = by_name ? by_name : by_prefix;
    return NULL;
}

void networks_each(bool (*fn)(void *arg, network *n), void *arg)
{
    for (network *n = first, *next; n; n = next) {
        next = n->next;
        if (is_there(n) && !fn(arg, n))
            return;
    }
}
