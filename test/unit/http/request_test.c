/* request_test.c - what a handler can ask of a request, over a real connection; and what the log
 * shows of it. */
#include "http_rig.h"
#include <berth/log.h>
#include <fcntl.h>

#define H "Host: x\r\n"

static void check_body(int fd, const char *ask, const char *want)
{
    auto_answer a = cl_ask(fd, ask);

    if (!str_eq(a.body, want))
        fail_msg("%s: %s", ask, a.body);
}

static void test_names_and_queries(void **state)
{
    int fd = cl_unix();

    (void)state;
    check_body(fd, "GET /images/testcontainers%2Fryuk:0.3.3/json HTTP/1.1\r\n" H "\r\n",
               "testcontainers/ryuk:0.3.3");
    check_body(fd, "GET /v1.40/images/reg:5000/a/b/json HTTP/1.1\r\n" H "\r\n", "reg:5000/a/b");
    check_body(fd, "DELETE /images/sha256%3Aabc HTTP/1.1\r\n" H "\r\n", "sha256:abc");
    check_body(fd, "GET /containers/a%2Fb/json HTTP/1.1\r\n" H "\r\n", "a/b");
    check_body(fd, "GET /query?q=1&p=0&q=a+b%2B&q= HTTP/1.1\r\n" H "\r\n", "<1><a b+><>");
    close(fd);
}

static void test_versions(void **state)
{
    int fd = cl_unix();

    (void)state;
    check_body(fd, "GET /version HTTP/1.1\r\n" H "\r\n", "51");
    check_body(fd, "GET /v1.24/version HTTP/1.1\r\n" H "\r\n", "24");
    check_body(fd, "GET /v1.51/version HTTP/1.1\r\n" H "\r\n", "51");
    check_body(fd, "POST /v1.25/containers/prune HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nok",
               "ok");
    close(fd);
}

#define JSON(query, n)                                                                           \
    "POST /json" query " HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: " #n \
    "\r\n\r\n"

static void test_json(void **state)
{
    int fd = cl_unix();

    (void)state;
    check_body(fd, JSON("", 21) "{\"NAME\":\"a\",\"Size\":3}", "{\"Name\":\"a\",\"Size\":3}\n");
    check_body(fd, JSON("", 13) "{\"Size\":\"a\" }", "{\"message\":\"Size: not a number\"}\n");
    check_body(fd, "POST /json?empty=1 HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
               "{\"Name\":\"\",\"Size\":0}\n");
    check_body(fd,
               "POST /json HTTP/1.1\r\n" H "Content-Type: nonsense\r\nContent-Length: 2\r\n\r\n{}",
               "{\"message\":\"malformed Content-Type header (nonsense): mime: expected slash in "
               "media type\"}\n");
    close(fd);
}

static void test_body_is_logged_without_secrets(void **state)
{
    int log = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), saved = dup(2), fd = cl_unix();
    char text[8192] = "";
    const char *body =
        "{\"username\":\"joe\",\"password\":\"hunter2\",\"x\":{\"JoinToken\" : "
        "[\"tok\",{\"a\":\"b,c\"}],"
        "\"list\":[1,2]},\"pass\\u0077ord\":\"hunter3\",\"auth\":\"aHVudGVyNA==\",\"end\":true}";
    auto_free char *ask = xasprintf("POST /v1.51/echo?a=b HTTP/1.1\r\n" H
                                    "X-Registry-Auth: c2VjcmV0\r\nContent-Length: %zu\r\n\r\n%s",
                                    strlen(body), body);

    (void)state;
    assert_true(log >= 0 && saved >= 0);
    dup2(log, 2);
    log_set_level(LOG_LEVEL_DEBUG);
    check_body(fd, ask, body);
    log_set_level(LOG_LEVEL_INFO);
    dup2(saved, 2);
    close(saved);
    assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
    close(log);
    close(fd);
    assert_non_null(strstr(text, "Calling POST /v1.51/echo?a=b"));
    assert_non_null(strstr(text, "joe"));
    assert_non_null(strstr(text, "*****"));
    assert_non_null(strstr(text, "end"));
    assert_null(strstr(text, "hunter"));
    assert_null(strstr(text, "tok\\"));
    assert_null(strstr(text, "b,c"));
    assert_null(strstr(text, "c2VjcmV0"));
    assert_null(strstr(text, "aHVud"));
}

static void test_own_headers(void **state)
{
    int fd = cl_unix();
    auto_answer a = cl_ask(fd, PING);

    (void)state;
    assert_string_equal(answer_header(&a, "Cache-Control"), "no-cache");
    assert_string_equal(answer_header(&a, "Content-Type"), "text/plain; charset=utf-8");
    assert_string_equal(answer_header(&a, "Content-Length"), "2");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_names_and_queries),
        rig_test(test_versions),
        rig_test(test_json),
        rig_test(test_body_is_logged_without_secrets),
        rig_test(test_own_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
