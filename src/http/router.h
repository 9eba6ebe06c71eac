/* router.h - method and path to a route, through a trie of path segments. */
#ifndef BERTH_HTTP_ROUTER_H
#define BERTH_HTTP_ROUTER_H

#include "target.h"
#include <berth/route.h>

enum { PARAMS_MAX = 4 };

typedef struct router router;

router *router_new(const route *const *tables); /* NULL-terminated; the tables stay the caller's */
void router_free(router *r);

typedef struct route_match {
    const route *route;
    const char *names[PARAMS_MAX]; /* of the pattern, without braces and dots; in the arena */
    const char *values[PARAMS_MAX];
    size_t n;
} route_match;

/* false: page not found (also for another method of a known path). */
bool router_find(const router *r, http_method method, const target *t, arena *a, route_match *ret);

#endif
