/* dns_names.c - the names of endpoints, by network.
 *
 * An index by network and name: several endpoints may have one name (an alias), each of them is an
 * answer.  Only endpoints that joined are in it.  Loop thread only. */
#include "dns_names.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uthash.h>

typedef struct named { /* one name of one endpoint */
    const endpoint *ep;
    struct named *next;
} named;

typedef struct entry {
    char *key; /* "NETWORK-ID name" */
    named *all;
    UT_hash_handle hh;
} entry;

static entry *entries;

static char *key_of(const network *n, const char *name)
{
    char *key = xasprintf("%s %s", n->id, name);

    for (char *p = key + strlen(n->id); *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p |= 'a' - 'A';
    return key;
}

static entry *entry_of(const network *n, const char *name)
{
    auto_free char *key = key_of(n, name);
    entry *e = NULL;

    HASH_FIND_STR(entries, key, e);
    return e;
}

void names_enter(endpoint *ep)
{
    names_leave(ep);
    for (size_t i = 0; i < ep->names.n; i++) {
        entry *e = entry_of(ep->net, ep->names.v[i]);
        named *one = new0(named);

        if (!e) {
            e = new0(entry);
            e->key = key_of(ep->net, ep->names.v[i]);
            HASH_ADD_KEYPTR(hh, entries, e->key, strlen(e->key), e);
        }
        one->ep = ep;
        one->next = e->all;
        e->all = one;
    }
}

/* Its names may be others by now: every entry is looked at. */
void names_leave(const endpoint *ep)
{
    entry *e, *next;

    HASH_ITER (hh, entries, e, next) {
        for (named **at = &e->all; *at;) {
            named *one = *at;

            if (one->ep != ep) {
                at = &one->next;
                continue;
            }
            *at = one->next;
            free(one);
        }
        if (!e->all) {
            HASH_DEL(entries, e);
            free(e->key);
            free(e);
        }
    }
}

/* ---- questions ---- */

static bool counts(const endpoint *ep)
{
    return ep->joined && network_is_user(ep->net);
}

typedef struct found {
    addr *v;
    size_t n;
    bool v6, known;
} found;

static void find_on(const network *n, const char *name, found *f)
{
    const entry *e = entry_of(n, name);

    for (const named *one = e ? e->all : NULL; one; one = one->next) {
        addr a = f->v6 ? one->ep->ip6 : one->ep->ip;

        f->known = true;
        if (addr_is_set(a) && f->n < DNS_ADDRESSES_MAX)
            f->v[f->n++] = a;
    }
}

/* "container:alias": what it alone calls another one. */
static void find_link(const endpoint *asker, const char *name, found *f)
{
    for (size_t i = 0; i < asker->links.n; i++) {
        const char *colon = strrchr(asker->links.v[i], ':');

        if (colon && str_eq_nocase(colon + 1, name)) {
            auto_free char *target =
                xstrndup(asker->links.v[i], (size_t)(colon - asker->links.v[i]));

            find_on(asker->net, target, f);
        }
    }
}

/* "web.mynet" is web on the network mynet alone. */
static void find_qualified(const endpoint *asker, const char *name, found *f)
{
    size_t n = strlen(name), suffix = strlen(asker->net->name);

    if (n > suffix + 1 && name[n - suffix - 1] == '.' &&
        str_eq_nocase(name + n - suffix, asker->net->name)) {
        auto_free char *bare = xstrndup(name, n - suffix - 1);

        find_link(asker, bare, f);
        find_on(asker->net, bare, f);
    }
}

static void shuffle(addr *v, size_t n)
{
    uint32_t random = 0;

    for (size_t i = n; i > 1; i--) {
        size_t k;
        addr a;

        if (getrandom(&random, sizeof random, 0) < 0)
            return;
        k = random % i;
        a = v[k];
        v[k] = v[i - 1];
        v[i - 1] = a;
    }
}

size_t names_find(const char *container_id, const char *name, bool v6, addr ret[DNS_ADDRESSES_MAX],
                  bool *ret_known)
{
    found f = {.v = ret, .v6 = v6};

    for (endpoint *ep = endpoint_of(container_id, NULL); ep; ep = endpoint_of(container_id, ep)) {
        if (!counts(ep))
            continue;
        find_link(ep, name, &f);
        find_on(ep->net, name, &f);
    }
    for (endpoint *ep = f.known ? NULL : endpoint_of(container_id, NULL); ep;
         ep = endpoint_of(container_id, ep))
        if (counts(ep))
            find_qualified(ep, name, &f);
    shuffle(ret, f.n);
    *ret_known = f.known;
    return f.n;
}

char *names_of_address(const char *container_id, addr a)
{
    for (endpoint *mine = endpoint_of(container_id, NULL); mine;
         mine = endpoint_of(container_id, mine)) {
        if (!counts(mine))
            continue;
        for (endpoint *ep = endpoint_on(mine->net, NULL); ep; ep = endpoint_on(mine->net, ep))
            if (ep->joined && (addr_eq(ep->ip, a) || addr_eq(ep->ip6, a)))
                return xasprintf("%s.%s", ep->name, mine->net->name);
    }
    return NULL;
}

bool names_may_leave(const char *container_id)
{
    for (endpoint *ep = endpoint_of(container_id, NULL); ep; ep = endpoint_of(container_id, ep))
        if (ep->joined && network_is_attached(ep->net) && !network_is_internal(ep->net))
            return true;
    return false;
}
