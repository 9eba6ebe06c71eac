/* router.c - method and path to a route, through a trie of path segments.
 *
 * A literal segment wins over {name}, which wins over {name...}; of several {name...} the one with
 * the longest fixed suffix wins.  The trie is built once and only read afterwards. */
#include "router.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

enum { SUFFIX_MAX = 4 };

typedef struct greedy { /* {name...}/suffix */
    char *suffix[SUFFIX_MAX];
    size_t n_suffix;
    const route *by_method[METHOD_COUNT];
    struct greedy *next; /* longest suffix first */
} greedy;

typedef struct node {
    char *segment; /* NULL: {name} */
    struct node *children, *next;
    greedy *greedies;
    const route *by_method[METHOD_COUNT];
} node;

struct router {
    node root;
};

static node *child_of(node *n, const char *segment)
{
    node *c;

    for (c = n->children; c; c = c->next)
        if (segment ? str_eq(c->segment, segment) : !c->segment)
            return c;
    c = new0(node);
    c->segment = xstrdup(segment);
    if (segment || !n->children) { /* {name} stays last */
        c->next = n->children;
        n->children = c;
    } else {
        node *last = n->children;

        while (last->next)
            last = last->next;
        last->next = c;
    }
    return c;
}

static greedy *greedy_of(node *n, char *const *suffix, size_t n_suffix)
{
    greedy **at = &n->greedies, *g;

    for (; *at && (*at)->n_suffix >= n_suffix; at = &(*at)->next) {
        bool same = (*at)->n_suffix == n_suffix;

        for (size_t i = 0; same && i < n_suffix; i++)
            same = str_eq((*at)->suffix[i], suffix[i]);
        if (same)
            return *at;
    }
    g = new0(greedy);
    for (; g->n_suffix < n_suffix && g->n_suffix < SUFFIX_MAX; g->n_suffix++)
        g->suffix[g->n_suffix] = xstrdup(suffix[g->n_suffix]);
    g->next = *at;
    *at = g;
    return g;
}

static void add(router *r, const route *rt)
{
    auto_strv parts = {0};
    node *at = &r->root;

    strv_split(&parts, rt->pattern + 1, '/');
    for (size_t i = 0; i < parts.n; i++) {
        if (parts.v[i][0] != '{') {
            at = child_of(at, parts.v[i]);
        } else if (str_ends(parts.v[i], "...}")) {
            greedy_of(at, parts.v + i + 1, parts.n - i - 1)->by_method[rt->method] = rt;
            return;
        } else {
            at = child_of(at, NULL);
        }
    }
    at->by_method[rt->method] = rt;
}

router *router_new(const route *const *tables)
{
    router *r = new0(router);

    for (; *tables; tables++)
        for (const route *rt = *tables; rt->pattern; rt++)
            add(r, rt);
    return r;
}

static void node_clear(node *n)
{
    for (node *c = n->children, *next; c; c = next) {
        next = c->next;
        node_clear(c);
        free(c->segment);
        free(c);
    }
    for (greedy *g = n->greedies, *next; g; g = next) {
        next = g->next;
        for (size_t i = 0; i < g->n_suffix; i++)
            free(g->suffix[i]);
        free(g);
    }
}

void router_free(router *r)
{
    if (!r)
        return;
    node_clear(&r->root);
    free(r);
}

typedef struct search {
    http_method method;
    const target *t;
    arena *a;
    route_match *m;
} search;

static bool take_value(search *s, const char *value)
{
    if (s->m->n == PARAMS_MAX)
        return false;
    s->m->values[s->m->n++] = value;
    return true;
}

static bool greedy_matches(search *s, const greedy *g, size_t i)
{
    size_t n = s->t->n_segments;
    char *value;

    if (s->t->slash_at_end || n < i + 1 + g->n_suffix || !g->by_method[s->method])
        return false;
    for (size_t k = 0; k < g->n_suffix; k++)
        if (!str_eq(g->suffix[k], s->t->segments[n - g->n_suffix + k]))
            return false;
    value = s->t->segments[i];
    for (size_t k = i + 1; k < n - g->n_suffix; k++)
        value = arena_printf(s->a, "%s/%s", value, s->t->segments[k]);
    s->m->route = g->by_method[s->method];
    return take_value(s, value);
}

/* A path that ends in '/' is another one than without, and few patterns do. */
static const node *behind_slash(const node *n)
{
    for (const node *c = n->children; c; c = c->next)
        if (str_eq(c->segment, ""))
            return c;
    return NULL;
}

static bool descend(search *s, const node *n, size_t i)
{
    size_t kept = s->m->n;

    if (i == s->t->n_segments) {
        if (s->t->slash_at_end && !(n = behind_slash(n)))
            return false;
        s->m->route = n->by_method[s->method];
        return s->m->route != NULL;
    }
    for (const node *c = n->children; c; c = c->next) {
        if (c->segment ? str_eq(c->segment, s->t->segments[i]) : take_value(s, s->t->segments[i]))
            if (descend(s, c, i + 1))
                return true;
        s->m->n = kept;
    }
    for (const greedy *g = n->greedies; g; g = g->next) {
        if (greedy_matches(s, g, i))
            return true;
        s->m->n = kept;
    }
    return false;
}

static void name_values(route_match *m, arena *a)
{
    const char *p = m->route->pattern;

    for (size_t i = 0; i < m->n && (p = strchr(p, '{')); i++) {
        size_t len = strcspn(++p, ".}");

        m->names[i] = arena_strndup(a, p, len);
    }
}

bool router_find(const router *r, http_method method, const target *t, arena *a, route_match *ret)
{
    search s = {method, t, a, ret};

    memset(ret, 0, sizeof(*ret));
    if (*t->path != '/' || !descend(&s, &r->root, 0))
        return false;
    name_values(ret, a);
    return true;
}
