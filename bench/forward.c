/* forward.c - a published port: the time of a ping-pong of 64 bytes, and bytes through `cat` and
 * back.
 *
 * Asked at the gateway's address, where an engine's rules answer and not its proxy.  One
 * connection, plain sockets, and the loop rests meanwhile. */
#include "docker.h"
#include "scenarios.h"
#include "tarfile.h"
#include <arpa/inet.h>
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { BALL = 64, STALL_MS = 10000, TRIES = 100, REST_US = 20000, PIECE = 256 << 10 };

must_check static err *find_port(bench *b, struct sockaddr_in *ret)
{
    auto_free char *path = xasprintf("/containers/%s/json", b->subject), *body = NULL;
    const cJSON *net, *binding;
    const char *port, *gateway;
    cJSON *j;
    bool ok;

    TRY(bench_call(b, "GET", path, NULL, &body));
    j = cJSON_Parse(body);
    net = cJSON_GetObjectItem(j, "NetworkSettings");
    binding =
        cJSON_GetArrayItem(cJSON_GetObjectItem(cJSON_GetObjectItem(net, "Ports"), "1/tcp"), 0);
    port = cJSON_GetStringValue(cJSON_GetObjectItem(binding, "HostPort"));
    gateway = cJSON_GetStringValue(cJSON_GetObjectItem(
        cJSON_GetObjectItem(cJSON_GetObjectItem(net, "Networks"), b->opt->network), "Gateway"));
    *ret = (struct sockaddr_in){.sin_family = AF_INET};
    ok = port && gateway && inet_pton(AF_INET, gateway, &ret->sin_addr) == 1;
    ret->sin_port = ok ? htons((uint16_t)strtoul(port, NULL, 10)) : 0;
    cJSON_Delete(j);
    return ok ? NULL
              : err_new(ERR_INVALID, "forward: no published port (--publish 1 --network bridge)");
}

/* What is in the container may need a moment until it listens. */
must_check static err *dial(const struct sockaddr_in *to, int *ret_fd)
{
    int one = 1, fd, errnum = 0;

    for (int i = 0; i < TRIES; i++) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && !connect(fd, (const struct sockaddr *)to, sizeof *to)) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            *ret_fd = fd;
            return NULL;
        }
        errnum = errno;
        if (fd >= 0)
            close(fd);
        usleep(REST_US);
    }
    return err_errno(errnum, "the published port");
}

must_check static err *ping_pong(bench *b, int fd)
{
    histogram *h = report_phase(b->report, "ping-pong");
    int64_t began = time_mono_ns(), end = began + (int64_t)(b->opt->duration_s * 1e9);
    char ball[BALL] = {0};

    for (int64_t now = began; now < end;) {
        int64_t sent = now;

        if (write(fd, ball, BALL) != BALL)
            return err_errno(errno, "ping");
        for (ssize_t got = 0, n; got < BALL; got += n) {
            n = read(fd, ball, (size_t)(BALL - got));
            if (n <= 0)
                return err_errno(n < 0 ? errno : ECONNRESET, "pong");
        }
        now = time_mono_ns();
        histogram_record(h, now - sent);
        report_operation(b->report, true);
    }
    report_elapsed(b->report, time_mono_ns() - began);
    return NULL;
}

/* All of it there and back; the connection's end is told by the other side. */
must_check static err *stream(int fd, const upload *bytes)
{
    auto_free char *room = xcalloc(1, PIECE);
    size_t sent = 0, got = 0;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (got < bytes->n) {
        struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (sent < bytes->n ? POLLOUT : 0))};
        ssize_t n;

        if (poll(&p, 1, STALL_MS) <= 0)
            return err_new(ERR_SYSTEM, "the published port stalls");
        if (p.revents & POLLOUT) {
            n = write(fd, bytes->bytes + sent, bytes->n - sent < PIECE ? bytes->n - sent : PIECE);
            sent += n > 0 ? (size_t)n : 0;
        }
        n = read(fd, room, PIECE);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return err_errno(n ? errno : ECONNRESET, "through the published port");
        got += n > 0 ? (size_t)n : 0;
    }
    return NULL;
}

must_check static err *measure_both(bench *b, const struct sockaddr_in *to)
{
    upload bytes = tarfile_random("stream", b->opt->size_mb * 1000000);
    int64_t began;
    int fd = -1;
    err *e;

    e = dial(to, &fd);
    if (e) {
        tarfile_free(&bytes);
        return e;
    }
    bench_cost_begin(b);
    e = ping_pong(b, fd);
    bench_cost_end(b);
    began = time_mono_ns();
    if (!e)
        e = stream(fd, &bytes);
    if (!e) {
        histogram_record(report_phase(b->report, "there and back"), time_mono_ns() - began);
        bench_throughput(b, "there and back", bytes.n);
    }
    close(fd);
    tarfile_free(&bytes);
    return e;
}

err *forward_prepare(bench *b)
{
    auto_free char *body = docker_create_body(
        b, (const char *const[]){"busybox", "nc", "-ll", "-p", "1", "-e", "cat", NULL});

    TRY(docker_create(b, body, &b->subject));
    return docker_start(b, b->subject);
}

err *forward_run(bench *b)
{
    struct sockaddr_in to;

    TRY(find_port(b, &to));
    return measure_both(b, &to);
}
