/* http_rig.h - a real server on its own loop thread, and a blocking client in the test's thread.
 *
 * The test asserts; the server's thread only serves.  rig_call runs a function on the loop and
 * waits. */
#ifndef BERTH_TEST_HTTP_RIG_H
#define BERTH_TEST_HTTP_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "conn.h"
#include <berth/buf.h>
#include <berth/json.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RIG __attribute__((unused)) static

enum { RIG_PATIENCE_MS = 20000 };

/* ---- what the routes of the rig do ---- */

static struct rig {
    pthread_t thread;
    sem_t ready;
    http_server *server;
    http_tls_opts *tls_opts; /* set: also listen with TLS */
    http_tls *tls;
    char dir[32], path[64];
    unsigned port, tls_port; /* of 127.0.0.1 */
    err *failed;
    atomic_int streams, stopped, gone, eofs, body_ends, body_errors, handled;
    atomic_size_t produced, body_bytes;
    request *parked; /* by /park, until rig_release */
    stream *quiet;   /* of /events */
} rig;

static void ping(request *r)
{
    rig.handled++;
    reply_header(r, "Cache-Control", "no-cache");
    reply_bytes(r, 200, "text/plain; charset=utf-8", "OK", 2);
}

static void echo(request *r)
{
    size_t n;
    const char *p = request_body(r, &n);

    rig.handled++;
    reply_bytes(r, 200, "application/octet-stream", p, n);
}

static void tell_version(request *r)
{
    auto_free char *text = xasprintf("%d", request_version(r));

    reply_bytes(r, 200, "text/plain", text, strlen(text));
}

static void tell_name(request *r)
{
    const char *name = request_param(r, "name");

    reply_bytes(r, 200, "text/plain", name, strlen(name));
}

static void tell_query(request *r)
{
    auto_buf out = {0};
    const char *value;

    for (size_t i = 0; (value = request_query_nth(r, "q", i)); i++)
        buf_printf(&out, "<%s>", value);
    reply_bytes(r, 200, "text/plain", out.data, out.len);
}

#define RIG_THING(F, T) F(T, STR, name, "Name", 0) F(T, INT, size, "Size", 0)
JSON_DECLARE(rig_thing, RIG_THING)
JSON_DEFINE(rig_thing, RIG_THING)

static void mirror_json(request *r)
{
    rig_thing t = {0};
    err *e = request_json(r, &rig_thing_json, request_query(r, "empty"), &t);

    if (e)
        reply_error(r, e);
    else
        reply_json(r, 201, &rig_thing_json, &t);
}

static void go_wrong(request *r)
{
    int64_t status = 500;
    err *e = request_query_int(r, "status", 500, &status);

    reply_error(r, e ? e : err_new((err_class)status, "it went \"wrong\""));
}

static void empty(request *r)
{
    reply_empty(r, 204);
}

static void big(request *r)
{
    int64_t n = 0;
    err *e = request_query_int(r, "n", 0, &n);
    auto_free char *p = NULL;

    if (e) {
        reply_error(r, e);
        return;
    }
    p = xmalloc((size_t)n + 1);
    memset(p, 'b', (size_t)n);
    reply_bytes(r, 200, "text/plain", p, (size_t)n);
}

static void parked_gone(void *arg)
{
    (void)arg;
    rig.gone++;
}

static void park(request *r)
{
    rig.parked = r;
    rig.handled++;
    request_on_gone(r, parked_gone, NULL);
}

static void late_answer(void *arg)
{
    reply_bytes(arg, 200, "text/plain", "late", 4);
}

static void late(request *r)
{
    loop_defer(late_answer, r);
}

/* ---- bodies as streams ---- */

static void upload_data(void *arg, const char *p, size_t n)
{
    (void)arg;
    (void)p;
    rig.body_bytes += n;
}

static void upload_end(void *arg, err *e)
{
    auto_free char *text = xasprintf("%zu", (size_t)rig.body_bytes);

    rig.body_ends++;
    if (e) {
        rig.body_errors++;
        reply_error(arg, e);
    } else {
        reply_bytes(arg, 200, "text/plain", text, strlen(text));
    }
}

static const body_sink upload_sink = {upload_data, upload_end};

static void upload(request *r)
{
    rig.handled++;
    rig.body_bytes = 0;
    request_body_read(r, &upload_sink, r);
}

/* Reads nothing until rig_release. */
static void upload_later(request *r)
{
    rig.body_bytes = 0;
    rig.parked = r;
    request_body_read(r, &upload_sink, r);
    request_body_pause(r, true);
}

static void upload_refused(request *r)
{
    reply_error(r, err_new(ERR_CONFLICT, "not now"));
}

/* ---- streams ---- */

typedef struct source {
    stream *s;
    size_t left;
} source;

static void source_pull(void *arg, stream *s)
{
    static char piece[8192];
    source *src = arg;
    bool more = true;

    memset(piece, 's', sizeof(piece));
    while (src->left && more) {
        size_t n = src->left < sizeof(piece) ? src->left : sizeof(piece);

        src->left -= n;
        rig.produced += n;
        more = stream_write(s, piece, n);
    }
    if (!src->left)
        stream_end(s);
}

static void source_stop(void *arg)
{
    rig.stopped++;
    free(arg);
}

static const stream_ops source_ops = {source_pull, source_stop};

static void pour(request *r)
{
    source *src = new0(source);
    int64_t n = 0;
    err *e = request_query_int(r, "n", 1 << 20, &n);

    err_free(e);
    src->left = (size_t)n;
    rig.streams++;
    rig.produced = 0;
    src->s = reply_stream(r, 200, "application/octet-stream", &source_ops, src);
}

static void quiet_pull(void *arg, stream *s)
{
    (void)arg;
    (void)s;
}

static void quiet_stop(void *arg)
{
    (void)arg;
    rig.stopped++;
    rig.quiet = NULL;
}

static const stream_ops quiet_ops = {quiet_pull, quiet_stop};

static void events(request *r)
{
    rig.streams++;
    rig.quiet = reply_stream(r, 200, "application/json", &quiet_ops, NULL);
}

/* A build: its body is read while and before it streams. */
static void build_end(void *arg, err *e)
{
    (void)arg;
    rig.body_ends++;
    rig.body_errors += e != NULL;
    err_free(e);
    if (rig.quiet)
        stream_write(rig.quiet, "built\n", 6);
}

static const body_sink build_sink = {upload_data, build_end};

static void build(request *r)
{
    rig.body_bytes = 0;
    rig.streams++;
    request_body_read(r, &build_sink, NULL);
    rig.quiet = reply_stream(r, 200, "application/json", &quiet_ops, NULL);
}

/* ---- raw connections ---- */

typedef struct raw {
    stream *s;
} raw;

static void raw_pull(void *arg, stream *s)
{
    (void)arg;
    stream_write(s, "hello\n", 6);
}

static void raw_data(void *arg, const char *p, size_t n)
{
    rig.body_bytes += n;
    stream_write(((raw *)arg)->s, p, n);
}

static void raw_eof(void *arg)
{
    rig.eofs++;
    stream_write2(((raw *)arg)->s, "by", 2, "e\n", 2);
    stream_end(((raw *)arg)->s);
}

static void raw_stop(void *arg)
{
    rig.stopped++;
    free(arg);
}

static const hijack_ops raw_ops = {{raw_pull, raw_stop}, raw_data, raw_eof};

static void attach(request *r)
{
    raw *w = new0(raw);

    rig.streams++;
    rig.body_bytes = 0;
    w->s = reply_hijack(r, "application/vnd.docker.raw-stream", &raw_ops, w);
}

static const route rig_routes[] = {
    {GET, "/_ping", ping},
    {HEAD, "/_ping", ping},
    {POST, "/echo", echo},
    {GET, "/echo", echo},
    {GET, "/version", tell_version},
    {GET, "/images/{name...}/json", tell_name},
    {DELETE, "/images/{name...}", tell_name},
    {GET, "/containers/{name}/json", tell_name},
    {GET, "/query", tell_query},
    {POST, "/json", mirror_json},
    {GET, "/fail", go_wrong},
    {GET, "/empty", empty},
    {GET, "/big", big},
    {GET, "/park", park},
    {POST, "/park", park},
    {GET, "/late", late},
    {POST, "/upload", upload, BODY_STREAM},
    {POST, "/upload/later", upload_later, BODY_STREAM},
    {POST, "/upload/refused", upload_refused, BODY_STREAM},
    {GET, "/pour", pour},
    {HEAD, "/pour", pour},
    {GET, "/events", events},
    {POST, "/build", build, BODY_STREAM},
    {POST, "/attach", attach},
    {POST, "/containers/prune", echo, SINCE(25)},
    {0},
};

/* ---- the server's thread ---- */

static const char *const rig_headers[] = {"Api-Version: 1.51", "Ostype: linux", NULL};

static err *rig_open(void)
{
    static const route *const tables[] = {rig_routes, NULL};
    http_opts opts = {"Test/1 (linux)", rig_headers, 24, 51, NULL};
    char address[128];

    TRY(loop_init());
    rig.server = http_server_new(&opts);
    http_server_set_routes(rig.server, tables);
    if (rig.tls_opts) {
        TRY(http_tls_new(rig.tls_opts, &rig.tls));
        TRY(http_server_listen(rig.server, "tcp://127.0.0.1:0", "", rig.tls));
        rig.tls_port = http_server_port(rig.server);
        return NULL;
    }
    snprintf(address, sizeof(address), "unix://%s", rig.path);
    TRY(http_server_listen(rig.server, address, "", NULL));
    TRY(http_server_listen(rig.server, "tcp://127.0.0.1:0", "", NULL));
    rig.port = http_server_port(rig.server);
    return NULL;
}

static void *rig_serve(void *arg)
{
    (void)arg;
    rig.failed = rig_open();
    sem_post(&rig.ready);
    if (!rig.failed)
        loop_run();
    http_server_free(rig.server);
    http_tls_free(rig.tls);
    loop_done();
    return NULL;
}

RIG int rig_up(void **state)
{
    (void)state;
    alarm(120);
    signal(SIGPIPE, SIG_IGN);
    http_tls_opts *tls = rig.tls_opts;
    memset(&rig, 0, sizeof(rig));
    rig.tls_opts = tls;
    snprintf(rig.dir, sizeof(rig.dir), "%s", "/tmp/berth-http-XXXXXX");
    assert_non_null(mkdtemp(rig.dir));
    snprintf(rig.path, sizeof(rig.path), "%s/s", rig.dir);
    sem_init(&rig.ready, 0, 0);
    assert_int_equal(pthread_create(&rig.thread, NULL, rig_serve, NULL), 0);
    sem_wait(&rig.ready);
    if (rig.failed)
        print_error("%s\n", err_message(rig.failed));
    assert_null(rig.failed);
    return 0;
}

static void rig_closed(void *arg)
{
    (void)arg;
    loop_stop();
}

static void rig_close(void *arg)
{
    (void)arg;
    http_server_close(rig.server, 100, rig_closed, NULL);
}

/* Once the server was told to close. */
RIG void rig_join(void)
{
    pthread_join(rig.thread, NULL);
    sem_destroy(&rig.ready);
    unlink(rig.path);
    assert_int_equal(rmdir(rig.dir), 0);
    alarm(0);
}

RIG int rig_down(void **state)
{
    (void)state;
    loop_post(rig_close, NULL);
    rig_join();
    return 0;
}

#define rig_test(fn) cmocka_unit_test_setup_teardown(fn, rig_up, rig_down)

typedef struct rig_job {
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
} rig_job;

static void rig_run_job(void *arg)
{
    rig_job *j = arg;

    j->fn(j->arg);
    sem_post(&j->done);
}

RIG void rig_call(void (*fn)(void *arg), void *arg)
{
    rig_job j = {.fn = fn, .arg = arg};

    sem_init(&j.done, 0, 0);
    loop_post(rig_run_job, &j);
    sem_wait(&j.done);
    sem_destroy(&j.done);
}

static void count_conns(void *arg)
{
    *(unsigned *)arg = http_server_connections(rig.server);
}

RIG unsigned rig_conns(void)
{
    unsigned n = 0;

    rig_call(count_conns, &n);
    return n;
}

RIG void rig_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

RIG uint64_t rig_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Until the condition holds; false after the patience. */
#define RIG_UNTIL(condition)                            \
    __extension__({                                     \
        uint64_t end_ = rig_now_ms() + RIG_PATIENCE_MS; \
        while (!(condition) && rig_now_ms() < end_)     \
            rig_sleep_ms(2);                            \
        (condition);                                    \
    })

/* ---- the client ---- */

RIG int cl_unix(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", rig.path);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

RIG int cl_tcp(unsigned port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

/* As much as the server takes: a server that has refused stops reading. */
RIG size_t cl_send(int fd, const void *p, size_t n)
{
    size_t sent = 0;

    while (sent < n) {
        ssize_t rc = send(fd, (const char *)p + sent, n - sent, MSG_NOSIGNAL);

        if (rc <= 0)
            break;
        sent += (size_t)rc;
    }
    return sent;
}

RIG void cl_say(int fd, const char *text)
{
    cl_send(fd, text, strlen(text));
}

/* One read: > 0 bytes, 0 for the end (also by reset), -1 when nothing came in time. */
RIG int cl_more(int fd, buf *in, unsigned wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char piece[65536];
    ssize_t n;

    if (poll(&p, 1, (int)wait_ms) <= 0)
        return -1;
    n = recv(fd, piece, sizeof(piece), 0);
    if (n > 0)
        buf_add(in, piece, (size_t)n);
    return n > 0 ? (int)n : 0;
}

typedef struct answer {
    int status;
    char *head; /* with its empty line */
    char *body;
    size_t n;
    bool ended; /* the connection ended before the answer was whole */
} answer;

RIG void answer_done(answer *a)
{
    free(a->head);
    free(a->body);
    *a = (answer){0};
}
#define auto_answer __attribute__((cleanup(answer_done))) answer

/* The value of a header, trimmed of nothing; NULL when absent.  In a static buffer. */
RIG const char *answer_header(const answer *a, const char *name)
{
    static char value[1024];
    size_t len = strlen(name);

    for (const char *line = a->head; line && (line = strstr(line, "\r\n"));) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + len + 2, "\r"),
                     line + len + 2);
            return value;
        }
    }
    return NULL;
}

static bool fill(int fd, buf *in, size_t need)
{
    while (in->len < need)
        if (cl_more(fd, in, RIG_PATIENCE_MS) <= 0)
            return false;
    return true;
}

static bool fill_to(int fd, buf *in, size_t from, const char *mark, size_t *ret_end)
{
    for (;;) {
        char *at =
            in->len > from ? memmem(in->data + from, in->len - from, mark, strlen(mark)) : NULL;

        if (at) {
            *ret_end = (size_t)(at - in->data) + strlen(mark);
            return true;
        }
        if (cl_more(fd, in, RIG_PATIENCE_MS) <= 0)
            return false;
    }
}

static bool read_chunks(int fd, buf *in, size_t from, buf *body, size_t *ret_end)
{
    size_t eol = 0, size;

    do {
        if (!fill_to(fd, in, from, "\r\n", &eol))
            return false;
        size = strtoul(in->data + from, NULL, 16);
        if (!fill(fd, in, eol + size + 2))
            return false;
        buf_add(body, in->data + eol, size);
        assert_memory_equal(in->data + eol + size, "\r\n", 2);
        from = eol + size + 2;
    } while (size);
    *ret_end = from;
    return true;
}

/* The next answer on fd; in holds what was read beyond.  head_only: of a HEAD request. */
RIG answer cl_answer_to(int fd, buf *in, bool head_only)
{
    answer a = {0};
    auto_buf body = {0};
    size_t end = 0;
    const char *length;

    if (!fill_to(fd, in, 0, "\r\n\r\n", &end)) {
        a.ended = true;
        return a;
    }
    a.head = xstrndup(in->data, end);
    assert_memory_equal(a.head, "HTTP/1.1 ", 9);
    a.status = (int)strtol(a.head + 9, NULL, 10);
    length = answer_header(&a, "Content-Length");
    if (head_only || a.status == 100 || a.status == 101 || a.status == 204 || a.status == 304) {
        length = NULL;
    } else if (answer_header(&a, "Transfer-Encoding")) {
        a.ended = !read_chunks(fd, in, end, &body, &end);
    } else if ((length = answer_header(&a, "Content-Length"))) {
        size_t n = strtoul(length, NULL, 10);

        a.ended = !fill(fd, in, end + n);
        if (!a.ended)
            buf_add(&body, in->data + end, n);
        end += n;
    }
    a.n = body.len;
    a.body = buf_take(&body);
    if (!a.ended)
        buf_consume(in, end);
    return a;
}

RIG answer cl_answer(int fd, buf *in)
{
    return cl_answer_to(fd, in, false);
}

/* Nothing but the end follows. */
RIG bool cl_ends(int fd, buf *in)
{
    int rc = in->len ? 1 : cl_more(fd, in, RIG_PATIENCE_MS);

    return rc == 0;
}

RIG answer cl_ask(int fd, const char *text)
{
    auto_buf in = {0};
    answer a;

    cl_say(fd, text);
    a = cl_answer(fd, &in);
    assert_int_equal(in.len, 0);
    return a;
}

#define PING "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"

RIG bool cl_is_usable(int fd)
{
    auto_answer a = cl_ask(fd, PING);

    return a.status == 200 && str_eq(a.body, "OK");
}

#endif
