/* limits_test.c - every limit of http.h: its value, and what happens beyond it (times shortened).
 */
#include "http_rig.h"
#include <sys/resource.h>

#define H "Host: x\r\n"

static void set_limits(void *arg)
{
    rig.server->limits = *(http_limits *)arg;
}

static http_limits limits_now(void)
{
    http_limits l = rig.server->limits;

    return l;
}

static void change(http_limits l)
{
    rig_call(set_limits, &l);
}

static void test_values(void **state)
{
    http_limits l = limits_now();

    (void)state;
    assert_int_equal(HTTP_HEAD_MAX, 1 << 20);
    assert_int_equal(HTTP_HEADERS_MAX, 1000);
    assert_int_equal(HTTP_JSON_BODY_MAX, 16 << 20);
    assert_int_equal(HTTP_UNSENT_MAX, 64 << 10);
    assert_int_equal(HTTP_STREAM_UNSENT_MAX, 256 << 10);
    assert_int_equal(l.heads_bytes, 64 << 20);
    assert_int_equal(l.head_ms, 10000);
    assert_int_equal(l.tls_ms, 10000);
    assert_int_equal(l.json_idle_ms, 30000);
    assert_int_equal(l.stream_idle_ms, 600000);
    assert_int_equal(l.keepalive_ms, 180000);
    assert_int_equal(l.connections, 10000);
}

static void check_status_then_end(int fd, int status)
{
    auto_buf in = {0};
    auto_answer a = cl_answer(fd, &in);

    assert_int_equal(a.status, status);
    assert_true(cl_ends(fd, &in));
    close(fd);
}

static void test_head_takes_too_long(void **state)
{
    http_limits l = limits_now();
    uint64_t began_ms = rig_now_ms();
    int fd = cl_unix();

    (void)state;
    l.head_ms = 200;
    l.sweep_ms = 20;
    change(l);
    cl_say(fd, "GET /_ping HTTP/1.1\r\n");
    for (int i = 0; i < 10;
         i++) { /* drops do not help: the limit is from the first byte to the last */
        rig_sleep_ms(10);
        cl_say(fd, "X: y\r\n");
    }
    check_status_then_end(fd, 408);
    assert_in_range(rig_now_ms() - began_ms, 190, 2000);
}

static void test_idle_unix_connections_stay(void **state)
{
    http_limits l = limits_now();
    int fd = cl_unix(), tcp = cl_tcp(rig.port);
    auto_buf in = {0};

    (void)state;
    l.head_ms = l.keepalive_ms = l.json_idle_ms = 100;
    l.sweep_ms = 20;
    change(l);
    assert_true(cl_is_usable(fd));
    assert_true(cl_is_usable(tcp));
    assert_true(cl_ends(tcp, &in)); /* an idle one on TCP does not */
    rig_sleep_ms(200);
    assert_true(cl_is_usable(fd));
    close(fd);
    close(tcp);
}

static void test_small_body_stalls(void **state)
{
    http_limits l = limits_now();
    int fd = cl_unix();

    (void)state;
    l.json_idle_ms = 100;
    l.sweep_ms = 20;
    change(l);
    cl_say(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    {
        auto_answer a = cl_ask(fd, "ab");

        assert_int_equal(a.status, 100);
    }
    check_status_then_end(fd, 408);
}

static void test_streamed_body_stalls(void **state)
{
    http_limits l = limits_now();
    int fd = cl_unix();

    (void)state;
    l.stream_idle_ms = 100;
    l.sweep_ms = 20;
    change(l);
    cl_say(fd, "POST /upload HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab");
    check_status_then_end(fd, 408);
    assert_int_equal(rig.body_errors, 1);
}

/* It is the sink that waits, not the client: no limit runs. */
static void test_paused_body_does_not_stall(void **state)
{
    http_limits l = limits_now();
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    l.stream_idle_ms = 50;
    l.sweep_ms = 20;
    change(l);
    cl_say(fd, "POST /upload/later HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nab");
    assert_int_equal(cl_more(fd, &in, 300), -1);
    assert_int_equal(rig.body_ends, 0);
    close(fd);
    assert_true(RIG_UNTIL(rig.body_ends == 1));
}

static size_t send_body(int fd, size_t n)
{
    auto_free char *p = xcalloc(1, n);

    return cl_send(fd, p, n);
}

static void test_json_body_too_large(void **state)
{
    int fd = cl_unix();

    (void)state;
    cl_say(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 16777217\r\n\r\n");
    check_status_then_end(fd, 413);
    fd = cl_unix();
    cl_say(fd, "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n2000000\r\n");
    send_body(fd, 17 << 20);
    check_status_then_end(fd, 413);
    fd = cl_unix();
    cl_say(fd, "POST /echo HTTP/1.1\r\n" H "Content-Length: 16777216\r\n\r\n");
    send_body(fd, 16 << 20);
    {
        auto_buf in = {0};
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.n, HTTP_JSON_BODY_MAX);
    }
    close(fd);
}

static void get_heads(void *arg)
{
    *(size_t *)arg = rig.server->heads_bytes;
}

/* All unfinished heads together: the oldest gives way, and what ends is given back. */
static void test_heads_together(void **state)
{
    http_limits l = limits_now();
    size_t held = 0;
    auto_buf head = {0};
    int fds[10];

    (void)state;
    l.heads_bytes = 5 * 10000;
    change(l);
    buf_str(&head, "GET /_ping?");
    while (head.len < 10000)
        buf_char(&head, 'q');
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = cl_unix();
        cl_send(fds[i], head.data, head.len);
        rig_sleep_ms(3);
    }
    assert_true(RIG_UNTIL(rig_conns() == 5));
    rig_call(get_heads, &held);
    assert_int_equal(held, 5 * 10000);
    for (size_t i = 5; i < COUNT(fds); i++) {
        auto_answer a = cl_ask(fds[i], " HTTP/1.1\r\n" H "\r\n");

        assert_int_equal(a.status, 200);
    }
    rig_call(get_heads, &held);
    assert_int_equal(held, 0);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
}

/* With all places taken the next client waits in the kernel, and is served when one is free. */
static void test_connections(void **state)
{
    http_limits l = limits_now();
    auto_buf in = {0};
    int fds[8], next;

    (void)state;
    l.connections = COUNT(fds);
    l.idle_spared_ms = 1000000;
    change(l);
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = cl_unix();
        assert_true(cl_is_usable(fds[i]));
    }
    next = cl_unix();
    cl_say(next, PING);
    assert_int_equal(cl_more(next, &in, 100), -1);
    close(fds[3]);
    {
        auto_answer a = cl_answer(next, &in);

        assert_int_equal(a.status, 200);
    }
    fds[3] = next;
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
}

/* Who has been idle longest gives his place up before they are all taken. */
static void test_idle_ones_are_shed(void **state)
{
    http_limits l = limits_now();
    int fds[30];

    (void)state;
    l.connections = 20;
    l.idle_spared_ms = 100;
    l.sweep_ms = 20;
    change(l);
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = cl_unix();
        assert_true(cl_is_usable(fds[i])); /* beyond 20 it waits until an idle one is shed */
        assert_true(rig_conns() <= 20);
    }
    assert_true(RIG_UNTIL(rig_conns() == 18));
    assert_true(cl_is_usable(fds[COUNT(fds) - 1]));
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
}

/* After the last answer a client that does not close is not waited for. */
static void test_linger(void **state)
{
    http_limits l = limits_now();
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    l.linger_ms = 100;
    l.sweep_ms = 20;
    change(l);
    cl_say(fd, "GET /_ping HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.status, 200);
        assert_string_equal(answer_header(&a, "Connection"), "close");
    }
    assert_true(cl_ends(fd, &in));
    assert_true(RIG_UNTIL(rig_conns() == 0));
    close(fd);
}

/* A slow reader of a last answer gets all of it, however long he takes; a stalled one does not
 * stay. */
static void test_slow_reader_of_the_last_answer(void **state)
{
    http_limits l = limits_now();
    auto_buf in = {0};
    int fd = cl_unix();

    (void)state;
    l.linger_ms = 50;
    l.stream_idle_ms = 300;
    l.sweep_ms = 20;
    change(l);
    cl_say(fd, "GET /big?n=4000000 HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    for (int i = 0; i < 12; i++) {
        rig_sleep_ms(60);
        assert_true(cl_more(fd, &in, RIG_PATIENCE_MS) > 0);
    }
    {
        auto_answer a = cl_answer(fd, &in);

        assert_int_equal(a.n, 4000000);
    }
    close(fd);
    fd = cl_unix();
    cl_say(fd, "GET /big?n=4000000 HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    assert_true(RIG_UNTIL(rig_conns() == 0));
    close(fd);
}

/* Out of descriptors: served again as soon as there are some. */
static void test_out_of_descriptors(void **state)
{
    struct rlimit before, few;
    int fds[64], n = 0, fd;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    fd = cl_unix();
    assert_true(cl_is_usable(fd));
    few = before;
    few.rlim_cur = (rlim_t)fd + 24;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (; n < 64; n++) {
        struct sockaddr_un sa = {.sun_family = AF_UNIX};

        snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", rig.path);
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[n] < 0 || connect(fds[n], (struct sockaddr *)&sa, sizeof(sa)) < 0)
            break;
    }
    rig_sleep_ms(50);
    while (n > 0)
        close(fds[--n]);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(RIG_UNTIL(rig_conns() == 1));
    assert_true(cl_is_usable(fd));
    close(fd);
    fd = cl_unix();
    assert_true(cl_is_usable(fd));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_values),
        rig_test(test_head_takes_too_long),
        rig_test(test_idle_unix_connections_stay),
        rig_test(test_small_body_stalls),
        rig_test(test_streamed_body_stalls),
        rig_test(test_paused_body_does_not_stall),
        rig_test(test_json_body_too_large),
        rig_test(test_heads_together),
        rig_test(test_connections),
        rig_test(test_idle_ones_are_shed),
        rig_test(test_linger),
        rig_test(test_slow_reader_of_the_last_answer),
        rig_test(test_out_of_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
