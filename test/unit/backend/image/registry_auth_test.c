/* registry_auth_test.c - who a client is, and what a registry asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "registry_auth.h"
#include <berth/str.h>

static void test_clients(void **state)
{
    static const struct {
        const char *header, *user, *password, *identity;
    } cases[] = {
        {"eyJ1c2VybmFtZSI6Im1lIiwicGFzc3dvcmQiOiJzM2NyZXQifQ==", "me", "s3cret", NULL},
        {"eyJ1c2VybmFtZSI6Im1lIiwicGFzc3dvcmQiOiJzM2NyZXQifQ", "me", "s3cret", NULL},
        {"eyJ1c2VybmFtZSI6Ij8_PiIsInBhc3N3b3JkIjoiPz4_In0=", "?\?>", "?>?", NULL},
        {"eyJ1c2VybmFtZSI6Ij8/PiIsInBhc3N3b3JkIjoiPz4/In0=", "?\?>", "?>?", NULL},
        {"eyJhdXRoIjoiYldVNmN6TmpjbVYwIn0=", "me", "s3cret", NULL},
        {"eyJpZGVudGl0eXRva2VuIjoidG9rZW4ifQ==", NULL, NULL, "token"},
        {"e30=", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
        {NULL, NULL, NULL, NULL},
        {"&&&", NULL, NULL, NULL},
        {"bm8ganNvbg==", NULL, NULL, NULL},
        {"eyJ1c2VybmFtZSI6Im1lXHJcblgtRXZpbDogMSJ9", NULL, NULL, NULL}, /* a line break */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_arena *a = arena_new();
        registry_auth r;

        registry_auth_decode(cases[i].header, a, &r);
        assert_true(str_eq(r.username, cases[i].user));
        assert_true(str_eq(r.password, cases[i].password));
        assert_true(str_eq(r.identity_token, cases[i].identity));
    }
}

static void test_challenges(void **state)
{
    static const struct {
        const char *header;
        challenge_kind kind;
        const char *realm, *service, *scope;
    } cases[] = {
        {"Bearer "
         "realm=\"https://auth.docker.io/"
         "token\",service=\"registry.docker.io\",scope=\"repository:x:pull\"",
         CHALLENGE_BEARER, "https://auth.docker.io/token", "registry.docker.io",
         "repository:x:pull"},
        {"bearer  Service=s , REALM = \"a\\\"b\"", CHALLENGE_BEARER, "a\"b", "s", NULL},
        {"Basic realm=\"x\"", CHALLENGE_BASIC, "x", NULL, NULL},
        {"Basic realm=\"x\", Bearer realm=\"y\"", CHALLENGE_BEARER, "y", NULL, NULL},
        {"Negotiate abc==, Basic realm=x", CHALLENGE_NONE, NULL, NULL, NULL},
        {"Digest realm=\"x\", nonce=\"1\"", CHALLENGE_NONE, NULL, NULL, NULL},
        {"Bearer realm=\"never ends", CHALLENGE_BEARER, NULL, NULL, NULL},
        {"Bearer", CHALLENGE_BEARER, NULL, NULL, NULL},
        {",,,", CHALLENGE_NONE, NULL, NULL, NULL},
        {"", CHALLENGE_NONE, NULL, NULL, NULL},
        {NULL, CHALLENGE_NONE, NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_arena *a = arena_new();
        challenge c;

        challenge_parse(cases[i].header, a, &c);
        assert_int_equal(c.kind, cases[i].kind);
        assert_true(str_eq(c.realm, cases[i].realm));
        assert_true(str_eq(c.service, cases[i].service));
        assert_true(str_eq(c.scope, cases[i].scope));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_challenges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
