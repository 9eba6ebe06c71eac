/* reference_test.c - image references as dockerd takes and refuses them, with its words. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/str.h>
#include <string.h>

#define HEX64   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define UP64    "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
#define A32     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A64     A32 A32
#define A128    A64 A64
#define INVALID "invalid reference format"

typedef struct fine {
    const char *text, *domain, *path, *tag, *familiar;
} fine;

static const fine good[] = {
    {"alpine", "docker.io", "library/alpine", NULL, "alpine:latest"},
    {"alpine:3", "docker.io", "library/alpine", "3", "alpine:3"},
    {"library/alpine", "docker.io", "library/alpine", NULL, "alpine:latest"},
    {"docker.io/alpine", "docker.io", "library/alpine", NULL, "alpine:latest"},
    {"docker.io/library/alpine:x", "docker.io", "library/alpine", "x", "alpine:x"},
    {"index.docker.io/alpine", "docker.io", "library/alpine", NULL, "alpine:latest"},
    {"library/a/b", "docker.io", "library/a/b", NULL, "library/a/b:latest"},
    {"docker.io/docker.io/x", "docker.io", "docker.io/x", NULL, "docker.io/docker.io/x:latest"},
    {"docker.io/library/docker.io/x", "docker.io", "library/docker.io/x", NULL,
     "library/docker.io/x:latest"},
    {"user/app", "docker.io", "user/app", NULL, "user/app:latest"},
    {"ghcr.io/o/r:v1.2-3_4", "ghcr.io", "o/r", "v1.2-3_4", "ghcr.io/o/r:v1.2-3_4"},
    {"localhost/x", "localhost", "x", NULL, "localhost/x:latest"},
    {"localhost:5000/x", "localhost:5000", "x", NULL, "localhost:5000/x:latest"},
    {"localhost:5000/x:t", "localhost:5000", "x", "t", "localhost:5000/x:t"},
    {"Host/x", "Host", "x", NULL, "Host/x:latest"},
    {"[::1]:80/x", "[::1]:80", "x", NULL, "[::1]:80/x:latest"},
    {"foo_bar.com/x", "foo_bar.com", "x", NULL, "foo_bar.com/x:latest"},
    {"a_b", "docker.io", "library/a_b", NULL, "a_b:latest"},
    {"a__b", "docker.io", "library/a__b", NULL, "a__b:latest"},
    {"a---b", "docker.io", "library/a---b", NULL, "a---b:latest"},
    {"a.b/c", "a.b", "c", NULL, "a.b/c:latest"},
    {"a.b", "docker.io", "library/a.b", NULL, "a.b:latest"},
    {"x:_T", "docker.io", "library/x", "_T", "x:_T"},
    {"x:" A128, "docker.io", "library/x", A128, "x:" A128},
    {"x@sha256:" HEX64, "docker.io", "library/x", NULL, "x@sha256:" HEX64},
    {"x:t@sha256:" HEX64, "docker.io", "library/x", "t", "x@sha256:" HEX64},
};

typedef struct wrong {
    const char *text, *why;
} wrong;

static const wrong bad[] = {
    {"", INVALID},
    {":", INVALID},
    {"@", INVALID},
    {"x:", INVALID},
    {"x@", INVALID},
    {"/x", INVALID},
    {"x/", INVALID},
    {"x//y", INVALID},
    {"-x", INVALID},
    {"x-", INVALID},
    {".x", INVALID},
    {"x..y", INVALID},
    {"x._y", INVALID},
    {"x___y", INVALID},
    {"x y", INVALID},
    {"x\ny", INVALID},
    {"../x", INVALID},
    {"x/../y", INVALID},
    {"x:y:z", INVALID},
    {"x:-t", INVALID},
    {"x:.t", INVALID},
    {"x:t/y", INVALID},
    {"x:" A128 "a", INVALID},
    {"\xc3\xb6", INVALID},
    {"foo.com:/x", INVALID},
    {"foo.com:port/x", INVALID},
    {"foo..com/x", INVALID},
    {"-foo.com/x", INVALID},
    {"[::1/x", INVALID},
    {"UPPER", "invalid reference format: repository name (library/UPPER) must be lowercase"},
    {"a/B:t", "invalid reference format: repository name (a/B) must be lowercase"},
    {HEX64, "invalid repository name (" HEX64 "), cannot specify 64-byte hexadecimal strings"},
    {"x@sha256:e3b0", INVALID},
    {"x@sha256:", INVALID},
    {"x@" HEX64, INVALID},
    {"x@sha256:../../../etc/passwd", INVALID},
    {"x@sha256:" HEX64 "0", "invalid checksum digest length"},
    {"x@sha256:" A32, "invalid checksum digest length"},
    {"x@sha256:" UP64, "invalid checksum digest format"},
    {"x@md5:" A32, "unsupported digest algorithm"},
    {"x@sha512:" A128, "unsupported digest algorithm"},
    {"x@sha256:" HEX64 "@sha256:" HEX64, INVALID},
    {A128 A64 A32 "aaaaaaaaaaaaaaaaaaaaaaaa",
     "repository name must not be more than 255 characters"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        const fine *g = &good[i];
        auto_free char *familiar = NULL;
        reference r;
        auto_err *e = reference_parse(g->text, &r);

        if (e)
            fail_msg("%s: %s", g->text, err_message(e));
        familiar = reference_familiar(&r);
        if (!str_eq(r.domain, g->domain) || !str_eq(r.path, g->path) || !str_eq(r.tag, g->tag) ||
            !str_eq(familiar, g->familiar))
            fail_msg("%s: %s %s %s, %s", g->text, r.domain, r.path, str_or(r.tag, "-"), familiar);
        reference_done(&r);
    }
}

/* The familiar form means the same reference and has itself as its familiar form. */
static void test_familiar_is_stable(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        auto_free char *again = NULL;
        reference r;

        assert_null(reference_parse(good[i].familiar, &r));
        again = reference_familiar(&r);
        assert_string_equal(again, good[i].familiar);
        assert_string_equal(r.path, good[i].path);
        reference_done(&r);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        reference r = {0};
        auto_err *e = reference_parse(bad[i].text, &r);

        if (!e || err_kind(e) != ERR_INVALID || !str_eq(err_message(e), bad[i].why))
            fail_msg("\"%s\": expected \"%s\", got \"%s\"", bad[i].text, bad[i].why,
                     err_message(e));
        assert_null(r.domain); /* untouched on failure */
    }
}

/* The longest name there may be: 255 with "library/". */
static void test_longest(void **state)
{
    char text[256] = {0};
    reference r;
    auto_err *e = NULL;

    (void)state;
    memset(text, 'a', 247);
    assert_null(reference_parse(text, &r));
    reference_done(&r);
    text[247] = 'a';
    e = reference_parse(text, &r);
    assert_string_equal(err_message(e), "repository name must not be more than 255 characters");
}

static void test_set_tag(void **state)
{
    auto_free char *familiar = NULL;
    auto_err *e = NULL;
    reference r;

    (void)state;
    assert_null(reference_parse("a:b", &r));
    assert_null(reference_set_tag(&r, "c"));
    e = reference_set_tag(&r, "no tag");
    assert_string_equal(err_message(e), "invalid tag format");
    familiar = reference_familiar(&r);
    assert_string_equal(familiar, "a:c");
    reference_done(&r);
}

/* What may become part of a path. */
static void test_digests(void **state)
{
    static const char *const not_digests[] = {"",
                                              "sha256:",
                                              HEX64,
                                              "sha256:" UP64,
                                              "SHA256:" HEX64,
                                              "sha256:" HEX64 "0",
                                              "sha256:../../x",
                                              "md5:" A32,
                                              "sha256:" A32,
                                              " sha256:" HEX64,
                                              "sha256:" HEX64 "\n",
                                              "sha256:" HEX64 "/"};
    static const char *const not_ids[] = {"", "g", "A", HEX64 "0", "12 3", "../x"};

    (void)state;
    assert_true(digest_is_valid("sha256:" HEX64));
    assert_false(digest_is_valid(NULL));
    for (size_t i = 0; i < COUNT(not_digests); i++)
        if (digest_is_valid(not_digests[i]))
            fail_msg("%s", not_digests[i]);
    assert_true(id_is_hex("0") && id_is_hex("c0ffee") && id_is_hex(HEX64));
    for (size_t i = 0; i < COUNT(not_ids); i++)
        if (id_is_hex(not_ids[i]))
            fail_msg("%s", not_ids[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_familiar_is_stable),
        cmocka_unit_test(test_bad),     cmocka_unit_test(test_longest),
        cmocka_unit_test(test_set_tag), cmocka_unit_test(test_digests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
