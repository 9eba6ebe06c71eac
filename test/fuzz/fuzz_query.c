/* fuzz_query.c - any bytes as a request target, and to its route. */
#include "router.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const route routes[] = {{GET, "/a/{id}/json", NULL, 0},
                               {GET, "/i/{name...}/get", NULL, 0},
                               {GET, "/{any...}", NULL, 0},
                               {0}};
static const route *const tables[] = {routes, NULL};
static router *the_router;

static void check(int holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena *a = arena_new();
    target t, again;
    route_match m;

    if (target_parse(&t, (const char *)data, n, a))
        return 0;
    for (size_t i = 0; i < t.n_query; i++)
        check(strlen(t.query[i].name) + strlen(t.query[i].value) <= n);
    if (t.clean_path && !target_parse(&again, t.clean_path, strlen(t.clean_path), a))
        check(!again.clean_path);
    if (!the_router)
        the_router = router_new(tables);
    if (!t.clean_path && router_find(the_router, GET, &t, a, &m))
        for (size_t i = 0; i < m.n; i++)
            check(*m.names[i] && *m.values[i]);
    return 0;
}
