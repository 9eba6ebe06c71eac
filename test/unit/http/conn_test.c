/* conn_test.c - the life of connections: half-close, reset, pipelining, 100-continue,
 * back-pressure. */
#include "http_rig.h"
#include <sys/resource.h>

#define H "Host: x\r\n"

static void answer_parked(void *arg)
{
    request *r = take(rig.parked);

    (void)arg;
    if (r)
        reply_bytes(r, 200, "text/plain", "released", 8);
}

static void resume_parked(void *arg)
{
    (void)arg;
    request_body_pause(rig.parked, false);
}

static void say_quiet(void *arg)
{
    if (rig.quiet)
        stream_write(rig.quiet, arg, strlen(arg));
}

static void end_quiet(void *arg)
{
    (void)arg;
    if (rig.quiet)
        stream_end(rig.quiet);
}

static void reset(int fd)
{
    struct linger l = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    close(fd);
}

static bool nobody_is_left(void)
{
    return RIG_UNTIL(rig_conns() == 0);
}

/* ---- answers ---- */

static void test_headers_of_every_answer(void **state)
{
    static const char *const requests[] = {PING,
                                           "GET /fail HTTP/1.1\r\n" H "\r\n",
                                           "GET /nowhere HTTP/1.1\r\n" H "\r\n",
                                           "GET /v1.99/_ping HTTP/1.1\r\n" H "\r\n",
                                           "GET /v1.10/_ping HTTP/1.1\r\n" H "\r\n",
                                           "OPTIONS /x HTTP/1.1\r\n" H "\r\n"};
    int fd = cl_unix();

    (void)state;
    for (size_t i = 0; i < COUNT(requests); i++) {
        auto_answer a = cl_ask(fd, requests[i]);

        assert_string_equal(answer_header(&a, "Server"), "Test/1 (linux)");
        assert_string_equal(answer_header(&a, "Api-Version"), "1.51");
        assert_string_equal(answer_header(&a, "Ostype"), "linux");
        assert_int_equal(strlen(answer_header(&a, "Date")),
                         strlen("Mon, 23 Nov 2026 10:16:00 GMT"));
        assert_non_null(answer_header(&a, "Content-Length"));
        assert_null(answer_header(&a, "Connection"));
    }
    close(fd);
}

static void test_error_texts(void **state)
{
    static const struct {
        const char *request, *type, *body;
        int status;
    } rows[] = {
        {"GET /fail HTTP/1.1\r\n" H "\r\n", "application/json",
         "{\"message\":\"it went \\\"wrong\\\"\"}\n", 500},
        {"GET /fail?status=409 HTTP/1.1\r\n" H "\r\n", "application/json",
         "{\"message\":\"it went \\\"wrong\\\"\"}\n", 409},
        {"GET /fail?status=x HTTP/1.1\r\n" H "\r\n", "application/json",
         "{\"message\":\"strconv.Atoi: parsing \\\"x\\\": invalid syntax\"}\n", 400},
        {"GET /nowhere HTTP/1.1\r\n" H "\r\n", "application/json",
         "{\"message\":\"page not found\"}\n", 404},
        {"PUT /_ping HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "application/json",
         "{\"message\":\"page not found\"}\n", 404},
        {"GET /_ping/ HTTP/1.1\r\n" H "\r\n", "application/json",
         "{\"message\":\"page not found\"}\n", 404},
        {"GET /v1.99/_ping HTTP/1.1\r\n" H "\r\n", "application/json",
         "{\"message\":\"client version 1.99 is too new. Maximum supported API version is "
         "1.51\"}\n",
         400},
        {"GET /v2.0/_ping HTTP/1.1\r\n" H "\r\n", "application/json",
         "{\"message\":\"client version 2.0 is too new. Maximum supported API version is 1.51\"}\n",
         400},
        {"GET /v1.10/_ping HTTP/1.1\r\n" H "\r\n", "text/plain; charset=utf-8",
         "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade "
         "your client to a newer version\n",
         400},
        {"GET /v1.9/_ping HTTP/1.1\r\n" H "\r\n", "text/plain; charset=utf-8",
         "client version 1.9 is too old. Minimum supported API version is 1.24, please upgrade "
         "your client to a newer version\n",
         400},
        {"POST /v1.24/containers/prune HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
         "application/json",
         "{\"message\":\"POST /containers/prune requires minimum API version 1.25\"}\n", 400},
    };
    int fd = cl_unix();

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_answer a = cl_ask(fd, rows[i].request);

        assert_int_equal(a.status, rows[i].status);
        assert_string_equal(answer_header(&a, "Content-Type"), rows[i].type);
        assert_string_equal(a.body, rows[i].body);
    }
    close(fd);
}

static void test_bodyless_answers(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();
    auto_answer e = cl_ask(fd, "GET /empty HTTP/1.1\r\n" H "\r\n");
    auto_answer nm = cl_ask(fd, "GET /fail?status=304 HTTP/1.1\r\n" H "\r\n");
    answer h;

    (void)state;
    assert_int_equal(e.status, 204);
    assert_null(answer_header(&e, "Content-Length"));
    assert_int_equal(nm.status, 304);
    assert_null(answer_header(&nm, "Content-Type"));
    cl_say(fd, "HEAD /_ping HTTP/1.1\r\n" H "\r\n");
    h = cl_answer_to(fd, &in, true);
    assert_string_equal(answer_header(&h, "Content-Length"), "2");
    answer_done(&h);
    cl_say(fd, "HEAD /nowhere HTTP/1.1\r\n" H "\r\n");
    h = cl_answer_to(fd, &in, true);
    assert_int_equal(h.status, 404);
    answer_done(&h);
    cl_say(fd, "HEAD /pour?n=100 HTTP/1.1\r\n" H "\r\n");
    h = cl_answer_to(fd, &in, true);
    assert_string_equal(answer_header(&h, "Transfer-Encoding"), "chunked");
    answer_done(&h);
    assert_int_equal(in.len, 0);
    assert_true(cl_is_usable(fd));
    close(fd);
}

/* ---- order ---- */

static void test_thousand_pipelined(void **state)
{
    auto_buf out = {0}, in = {0};
    int fd = cl_unix();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        auto_free char *body = xasprintf("request %d", i);

        buf_printf(&out, "%s /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n%s",
                   i % 3 ? "POST" : "GET", strlen(body), body);
    }
    cl_send(fd, out.data, out.len);
    for (int i = 0; i < 1000; i++) {
        auto_answer a = cl_answer(fd, &in);
        auto_free char *body = xasprintf("request %d", i);

        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, body);
    }
    close(fd);
}

static void test_late_answers_keep_their_order(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    for (int i = 0; i < 50; i++)
        cl_say(fd, "GET /late HTTP/1.1\r\n" H "\r\n" PING);
    for (int i = 0; i < 100; i++) {
        auto_answer a = cl_answer(fd, &in);

        assert_string_equal(a.body, i % 2 ? "OK" : "late");
    }
    close(fd);
}

static void get_n_unsent(void *arg)
{
    size_t *most = arg;

    for (conn *c = rig.server->conns; c; c = c->next)
        if (conn_unsent(c) + c->ahead.len > *most)
            *most = conn_unsent(c) + c->ahead.len;
}

/* A client that asks and asks and never reads is not read from, once its answers fill the bounds.
 */
static void test_pipelining_pauses(void **state)
{
    auto_buf block = {0};
    size_t asked = 0, held = 0;
    int fd = cl_unix();

    (void)state;
    for (int i = 0; i < 100; i++)
        buf_str(&block, "GET /big?n=4096 HTTP/1.1\r\n" H "\r\n");
    for (int i = 0; i < 10000; i++) {
        ssize_t n = send(fd, block.data, block.len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            asked += (size_t)n;
        else if (i > 9900)
            rig_sleep_ms(1);
    }
    rig_call(get_n_unsent, &held);
    assert_true(asked < 4 << 20);
    assert_true(held < HTTP_UNSENT_MAX + (192 << 10));
    assert_true(rig_conns() == 1);
    close(fd);
    assert_true(nobody_is_left());
}

static void test_one_byte_at_a_time(void **state)
{
    static const char text[] =
        "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" PING;
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    for (size_t i = 0; text[i]; i++) {
        cl_send(fd, text + i, 1);
        if (i % 7 == 0)
            rig_sleep_ms(1);
    }
    {
        auto_answer a = cl_answer(fd, &in), b = cl_answer(fd, &in);

        assert_string_equal(a.body, "abc");
        assert_string_equal(b.body, "OK");
    }
    close(fd);
}

/* ---- half-close, reset ---- */

static void test_half_close_gets_the_answer(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "GET /big?n=3000000 HTTP/1.1\r\n" H "\r\n");
    shutdown(fd, SHUT_WR);
    rig_sleep_ms(50); /* the server sees the end long before it has sent everything */
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.n, 3000000);
        assert_true(cl_ends(fd, &in));
    }
    close(fd);
}

static void test_half_close_behind_a_pipeline(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    for (int i = 0; i < 100; i++)
        cl_say(fd, "GET /big?n=20000 HTTP/1.1\r\n" H "\r\nGET /late HTTP/1.1\r\n" H "\r\n");
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 200; i++) {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.n, i % 2 ? 4 : 20000);
    }
    assert_true(cl_ends(fd, &in));
    close(fd);
}

static void test_half_close_while_a_handler_works(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "GET /park HTTP/1.1\r\n" H "\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(RIG_UNTIL(rig.gone == 1));
    rig_call(answer_parked, NULL);
    {
        auto_answer a = cl_answer(fd, &in);

        assert_string_equal(a.body, "released");
        assert_true(cl_ends(fd, &in));
    }
    close(fd);
}

static void test_half_close_ends_a_stream(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();
    uint64_t began_ms;

    (void)state;
    cl_say(fd, "GET /events HTTP/1.1\r\n" H "\r\n");
    assert_true(RIG_UNTIL(rig.streams == 1));
    began_ms = rig_now_ms();
    shutdown(fd, SHUT_WR);
    while (cl_more(fd, &in, RIG_PATIENCE_MS) > 0)
        continue;
    assert_true(RIG_UNTIL(rig.stopped == 1));
    assert_true(rig_now_ms() - began_ms < 1000);
    close(fd);
}

/* A build's client may be done sending; only when it is gone altogether the stream stops. */
static void test_half_close_behind_a_body(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "POST /build HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
    shutdown(fd, SHUT_WR);
    assert_true(RIG_UNTIL(rig.body_ends == 1));
    rig_sleep_ms(20);
    rig_call(say_quiet, "still here");
    while (!in.data || !strstr(in.data, "still here"))
        assert_true(cl_more(fd, &in, RIG_PATIENCE_MS) > 0);
    assert_int_equal(rig.stopped, 0);
    close(fd);
    assert_true(RIG_UNTIL(rig.stopped == 1));
}

static void test_incomplete_then_half_close(void **state)
{
    static const char *const parts[] = {
        "GET /_pi",
        "GET /_ping HTTP/1.1\r\nHost:", "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab",
        "POST /upload HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab",
        "POST /upload HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nab"};

    (void)state;
    for (size_t i = 0; i < COUNT(parts); i++) {
        auto_buf in = {0};
        int fd = cl_unix();

        cl_say(fd, parts[i]);
        shutdown(fd, SHUT_WR);
        {
            auto_answer a = cl_answer(fd, &in);

            assert_int_equal(a.status, 400);
            assert_true(cl_ends(fd, &in));
        }
        close(fd);
    }
}

static void test_reset_anywhere(void **state)
{
    static const char *const parts[] = {"",
                                        "GET /_p",
                                        "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab",
                                        "POST /upload HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab",
                                        "GET /events HTTP/1.1\r\n" H "\r\n",
                                        "GET /pour?n=100000000 HTTP/1.1\r\n" H "\r\n",
                                        "GET /park HTTP/1.1\r\n" H "\r\n",
                                        "POST /build HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab",
                                        "POST /attach HTTP/1.1\r\n" H "\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT(parts); i++) {
        int fd = i % 2 ? cl_tcp(rig.port) : cl_unix();

        cl_say(fd, parts[i]);
        rig_sleep_ms(20);
        reset(fd);
        rig_call(answer_parked, NULL);
        fd = i % 2 ? cl_unix() : cl_tcp(rig.port);
        cl_say(fd, parts[i]);
        close(fd);
        rig_sleep_ms(5);
        rig_call(answer_parked, NULL);
    }
    assert_true(nobody_is_left());
    assert_true(RIG_UNTIL(rig.stopped == rig.streams));
}

static void test_connect_and_close(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++)
        close(cl_unix());
    assert_true(nobody_is_left());
}

/* ---- bodies ---- */

static void test_continue(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "POST /upload HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.status, 100);
    }
    cl_say(fd, "abc");
    {
        auto_answer a = cl_answer(fd, &in);

        assert_string_equal(a.body, "3");
    }
    cl_say(fd, "POST /upload/refused HTTP/1.1\r\n" H
               "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.status, 409); /* without a 100 in front */
        assert_string_equal(answer_header(&a, "Content-Type"), "application/json");
        assert_true(cl_ends(fd, &in));
    }
    close(fd);
}

static size_t send_zeros(int fd, size_t n)
{
    auto_free char *zeros = xcalloc(1, n);

    return cl_send(fd, zeros, n);
}

static void test_unread_body_is_dropped(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "POST /upload/refused HTTP/1.1\r\n" H "Content-Length: 200000\r\n\r\n");
    assert_int_equal(send_zeros(fd, 200000), 200000);
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.status, 409);
    }
    assert_true(cl_is_usable(fd));
    cl_say(fd, "POST /upload/refused HTTP/1.1\r\n" H "Content-Length: 600000\r\n\r\n");
    send_zeros(fd, 600000);
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.status, 409);
        assert_true(cl_ends(fd, &in));
    }
    close(fd);
}

/* A sink that is paused stops the client, and goes on where it was. */
static void test_upload_waits_for_its_sink(void **state)
{
    enum { TOTAL = 8 << 20 };
    auto_buf in = {0};
    auto_free char *p = xcalloc(1, TOTAL);
    size_t sent = 0;
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "POST /upload/later HTTP/1.1\r\n" H "Content-Length: 8388608\r\n\r\n");
    for (int idle = 0; idle < 20;) {
        ssize_t n = send(fd, p, TOTAL - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        rig_sleep_ms(1);
    }
    assert_true(sent < 1 << 20);
    assert_int_equal(rig.body_bytes, 0);
    rig_call(resume_parked, NULL);
    assert_int_equal(cl_send(fd, p, TOTAL - sent), TOTAL - sent);
    {
        auto_answer a = cl_answer(fd, &in);

        assert_string_equal(a.body, "8388608");
    }
    close(fd);
}

/* ---- streams ---- */

static void test_stream_is_whole(void **state)
{
    static const char *const versions[] = {"1.1", "1.0"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        auto_buf in = {0};
        auto_free char *ask = xasprintf("GET /pour?n=5000000 HTTP/%s\r\n" H "\r\n", versions[i]);
        int fd = cl_unix();

        cl_say(fd, ask);
        {
            auto_answer a = cl_answer(fd, &in);

            if (i == 0)
                assert_int_equal(a.n, 5000000);
            while (i == 1 && cl_more(fd, &in, RIG_PATIENCE_MS) > 0)
                continue;
            if (i == 1)
                assert_int_equal(in.len, 5000000); /* cl_answer left it, for it has no length */
        }
        close(fd);
        assert_true(RIG_UNTIL(rig.stopped == i + 1));
    }
}

static void test_slow_reader_pauses_the_producer(void **state)
{
    auto_buf in = {0};
    size_t produced;
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "GET /pour?n=1000000000 HTTP/1.1\r\n" H "\r\n");
    assert_true(RIG_UNTIL(rig.produced > 0));
    rig_sleep_ms(100);
    produced = rig.produced;
    rig_sleep_ms(100);
    assert_int_equal(rig.produced, produced);
    assert_true(produced < HTTP_STREAM_UNSENT_MAX + (512 << 10)); /* and the kernel's buffer */
    while (rig.produced < produced + (4 << 20)) {
        assert_true(cl_more(fd, &in, RIG_PATIENCE_MS) > 0);
        buf_truncate(&in, 0);
    }
    close(fd);
    assert_true(RIG_UNTIL(rig.stopped == 1));
}

static void test_headers_leave_before_the_first_byte(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "GET /events HTTP/1.1\r\n" H "\r\n");
    while (!in.data || !strstr(in.data, "\r\n\r\n"))
        assert_true(cl_more(fd, &in, 2000) > 0);
    assert_non_null(strstr(in.data, "Transfer-Encoding: chunked\r\n"));
    rig_call(say_quiet, "{}\n");
    rig_call(end_quiet, NULL);
    {
        auto_answer a = cl_answer(fd, &in);

        assert_string_equal(a.body, "{}\n");
    }
    assert_true(cl_is_usable(fd));
    close(fd);
}

/* ---- hijacked ---- */

static void check_hijack(const char *extra, const char *head)
{
    auto_buf in = {0};
    auto_free char *ask =
        xasprintf("POST /attach HTTP/1.1\r\n" H "%sContent-Length: 0\r\n\r\nearly bytes",
                  extra); /* in one write */
    int before = rig.stopped, fd = cl_unix();
    auto_free char *want = xasprintf("%shello\nearly bytesmorebye\n", head);

    cl_say(fd, ask);
    while (!in.data || !strstr(in.data, "early bytes"))
        assert_true(cl_more(fd, &in, RIG_PATIENCE_MS) > 0);
    cl_say(fd, "more");
    shutdown(fd, SHUT_WR);
    while (cl_more(fd, &in, RIG_PATIENCE_MS) > 0)
        continue;
    close(fd);
    if (strncmp(in.data + strlen(head), "early", 5) ==
        0) { /* what was early may come before the greeting */
        free(want);
        want = xasprintf("%searly byteshello\nmorebye\n", head);
    }
    assert_string_equal(in.data, want);
    assert_true(RIG_UNTIL(rig.stopped == before + 1));
}

static void test_hijack(void **state)
{
    (void)state;
    check_hijack("Connection: Upgrade\r\nUpgrade: tcp\r\n",
                 "HTTP/1.1 101 UPGRADED\r\nContent-Type: "
                 "application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: "
                 "tcp\r\n\r\n");
    check_hijack("", "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
    assert_int_equal(rig.eofs, 2);
    assert_true(nobody_is_left());
}

static void test_hijack_and_vanish(void **state)
{
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "POST /attach HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    assert_true(RIG_UNTIL(rig.streams == 1));
    close(fd);
    assert_true(RIG_UNTIL(rig.stopped == 1));
    assert_true(nobody_is_left());
}

/* ---- listeners ---- */

static void test_origin_on_tcp(void **state)
{
    auto_buf in = {0};
    int fd = cl_tcp(rig.port), ux = cl_unix();

    (void)state;
    assert_true(cl_is_usable(fd));
    cl_say(fd, "GET /_ping HTTP/1.1\r\n" H "Origin: http://evil\r\n\r\n");
    {
        auto_answer a = cl_answer(fd, &in),
                    b = cl_ask(ux, "GET /_ping HTTP/1.1\r\n" H "Origin: http://mine\r\n\r\n");

        assert_int_equal(a.status, 403);
        assert_true(cl_ends(fd, &in));
        assert_int_equal(b.status, 200);
    }
    close(fd);
    close(ux);
}

static void swap_routes(void *arg)
{
    static const route *const none[] = {NULL}, *const all[] = {rig_routes, NULL};

    http_server_set_routes(rig.server, arg ? all : none);
}

static void test_routes_change_under_way(void **state)
{
    auto_buf in = {0};
    int fd = cl_unix(), other = cl_unix();

    (void)state;
    cl_say(fd, "GET /park HTTP/1.1\r\n" H "\r\n");
    assert_true(RIG_UNTIL(rig.handled == 1));
    rig_call(swap_routes, NULL);
    {
        auto_answer a = cl_ask(other, PING);

        assert_int_equal(a.status, 404);
    }
    rig_call(answer_parked, NULL);
    {
        auto_answer a = cl_answer(fd, &in);

        assert_string_equal(a.body, "released");
    }
    rig_call(swap_routes, "");
    assert_true(cl_is_usable(other));
    close(fd);
    close(other);
}

static void print_dump(void *arg)
{
    loop_dump(arg);
}

static void test_dump_names_connections(void **state)
{
    auto_buf text = {0};
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "GET /events?x=1 HTTP/1.1\r\n" H "\r\n");
    assert_true(RIG_UNTIL(rig.streams == 1));
    rig_call(print_dump, &text);
    assert_non_null(strstr(text.data, "connection @ busy GET /events unsent=0 ahead=0\n"));
    close(fd);
}

/* Many streams, then the end: all are closed at once, and nothing leaks (the sanitizer looks). */
static void test_close_with_streams_open(void **state)
{
    int fds[100];
    uint64_t began_ms;

    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = cl_unix();
        cl_say(fds[i], "GET /pour?n=100000000 HTTP/1.1\r\n" H "\r\n");
    }
    assert_true(RIG_UNTIL(rig.streams == COUNT(fds)));
    began_ms = rig_now_ms();
    rig_down(state);
    assert_true(rig_now_ms() - began_ms < 1000);
    assert_int_equal(rig.stopped, COUNT(fds));
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    rig_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_headers_of_every_answer),
        rig_test(test_error_texts),
        rig_test(test_bodyless_answers),
        rig_test(test_thousand_pipelined),
        rig_test(test_late_answers_keep_their_order),
        rig_test(test_pipelining_pauses),
        rig_test(test_one_byte_at_a_time),
        rig_test(test_half_close_gets_the_answer),
        rig_test(test_half_close_behind_a_pipeline),
        rig_test(test_half_close_while_a_handler_works),
        rig_test(test_half_close_ends_a_stream),
        rig_test(test_half_close_behind_a_body),
        rig_test(test_incomplete_then_half_close),
        rig_test(test_reset_anywhere),
        rig_test(test_connect_and_close),
        rig_test(test_continue),
        rig_test(test_unread_body_is_dropped),
        rig_test(test_upload_waits_for_its_sink),
        rig_test(test_stream_is_whole),
        rig_test(test_slow_reader_pauses_the_producer),
        rig_test(test_headers_leave_before_the_first_byte),
        rig_test(test_hijack),
        rig_test(test_hijack_and_vanish),
        rig_test(test_origin_on_tcp),
        rig_test(test_routes_change_under_way),
        rig_test(test_dump_names_connections),
        rig_test(test_close_with_streams_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
