/* router_test.c - which route a method and a path lead to, and what the parameters are. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "router.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <string.h>

static void a_handler(request *r)
{
    (void)r;
}

static const route images[] = {
    {GET, "/images/json", a_handler},
    {GET, "/images/search", a_handler},
    {GET, "/images/{name...}/json", a_handler},
    {GET, "/images/{name...}/get", a_handler},
    {GET, "/images/{name...}/history", a_handler},
    {POST, "/images/{name...}/push", a_handler},
    {POST, "/images/create", a_handler},
    {DELETE, "/images/{name...}", a_handler},
    {0},
};
static const route others[] = {
    {GET, "/containers/json", a_handler},
    {GET, "/containers/{name}/json", a_handler},
    {POST, "/containers/{name}/exec", a_handler},
    {GET, "/containers/{id}/archive", a_handler},
    {HEAD, "/containers/{id}/archive", a_handler},
    {POST, "/networks/{id}/connect/{what}", a_handler},
    {GET, "/", a_handler},
    {0},
};
static const route *const tables[] = {images, others, NULL};

/* "pattern name=value ..." or "" */
static char *found(http_method m, const char *uri)
{
    router *r = router_new(tables);
    auto_arena *a = arena_new();
    auto_buf out = {0};
    route_match match;
    target t;

    if (!target_parse(&t, uri, strlen(uri), a) && router_find(r, m, &t, a, &match)) {
        buf_str(&out, match.route->pattern);
        for (size_t i = 0; i < match.n; i++)
            buf_printf(&out, " %s=%s", match.names[i], match.values[i]);
    }
    router_free(r);
    return buf_take(&out);
}

static void check(http_method m, const char *uri, const char *want)
{
    auto_free char *got = found(m, uri);

    if (!str_eq(got, want))
        fail_msg("%s: \"%s\" instead of \"%s\"", uri, got, want);
}

static void test_literals_come_first(void **state)
{
    (void)state;
    check(GET, "/images/json", "/images/json");
    check(GET, "/images/json/json", "/images/{name...}/json name=json");
    check(GET, "/images/search/json", "/images/{name...}/json name=search");
    check(GET, "/containers/json", "/containers/json");
    check(GET, "/containers/json/json", "/containers/{name}/json name=json");
    check(GET, "/", "/");
}

static void test_greedy_names(void **state)
{
    (void)state;
    check(GET, "/images/a/json", "/images/{name...}/json name=a");
    check(GET, "/images/reg:5000/a/b:c/json", "/images/{name...}/json name=reg:5000/a/b:c");
    check(GET, "/images/a/get/json", "/images/{name...}/json name=a/get");
    check(DELETE, "/images/a/b/c", "/images/{name...} name=a/b/c");
    check(DELETE, "/images/create", "/images/{name...} name=create");
    check(POST, "/images/a/b/push", "/images/{name...}/push name=a/b");
    check(GET, "/images/a%2Fb:c/json", "/images/{name...}/json name=a/b:c");
    check(GET, "/images/sha256%3Aab/history", "/images/{name...}/history name=sha256:ab");
}

static void test_single_names(void **state)
{
    (void)state;
    check(GET, "/containers/a%2Fb/json", "/containers/{name}/json name=a/b");
    check(GET, "/containers/a%20b/archive", "/containers/{id}/archive id=a b");
    check(POST, "/networks/n/connect/c", "/networks/{id}/connect/{what} id=n what=c");
    check(GET, "/containers/a/b/json", "");
}

static void test_not_found(void **state)
{
    (void)state;
    check(GET, "/nowhere", "");
    check(GET, "/images", "");
    check(GET, "/images/", "");
    check(DELETE, "/images/", "");
    check(GET, "/images/a", "");
    check(POST, "/images/json", "");
    check(PUT, "/containers/json", "");
    check(POST, "/containers/a/archive", "");
    check(HEAD, "/containers/a/archive", "/containers/{id}/archive id=a");
    check(GET, "/containers/json/", "");
    check(GET, "*", "");
}

static void test_version_prefix(void **state)
{
    (void)state;
    check(GET, "/v1.51/containers/json", "/containers/json");
    check(GET, "/v1.24/images/a/json?x=1", "/images/{name...}/json name=a");
    check(GET, "/v1.24/v1.25/containers/json", "");
    check(GET, "/vX/containers/json", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_come_first), cmocka_unit_test(test_greedy_names),
        cmocka_unit_test(test_single_names),        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_version_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
