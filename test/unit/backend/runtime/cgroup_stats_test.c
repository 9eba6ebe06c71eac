/* cgroup_stats_test.c - the figures of control groups, from files as the kernel writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/cgroup.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[32];

typedef struct kernel_file {
    const char *path, *text;
} kernel_file;

static void make(const kernel_file *files, size_t n)
{
    snprintf(root, sizeof root, "/tmp/berth-cgroup-XXXXXX");
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < n; i++) {
        auto_free char *path = xasprintf("%s/%s", root, files[i].path);
        auto_close int fd = -1;

        for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
            *slash = '\0';
            (void)mkdir(path, 0755);
            *slash = '/';
        }
        fd = open(path, O_WRONLY | O_CREAT, 0644);
        assert_int_equal(write(fd, files[i].text, strlen(files[i].text)), strlen(files[i].text));
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void unmake(void)
{
    assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void test_v2(void **state)
{
    static const kernel_file files[] = {
        {"docker/x/cpu.stat", "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods "
                              "7\nnr_throttled 3\nthrottled_usec 40\n"},
        {"docker/x/memory.current", "1048576\n"},
        {"docker/x/memory.max", "max\n"},
        {"docker/x/memory.stat", "anon 4096\ninactive_file 8192\n"},
        {"docker/x/memory.events", "low 0\noom 2\noom_kill 1\n"},
        {"docker/x/io.stat", "8:16 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n254:0\n"},
        {"docker/x/pids.current", "3\n"},
        {"docker/x/pids.max", "max\n"},
    };
    auto_arena *a = arena_new();
    stats_answer s = {0};

    (void)state;
    make(files, COUNT(files));
    cgroup_set_root(root, true);
    assert_true(cgroup_stats_read("/docker/x", 1 << 30, a, &s));
    assert_int_equal(s.cpu.usage.total, 5000000);
    assert_int_equal(s.cpu.usage.user, 3000000);
    assert_int_equal(s.cpu.usage.kernel, 2000000);
    assert_null(s.cpu.usage.per_cpu.text);
    assert_int_equal(s.cpu.throttling.periods, 7);
    assert_int_equal(s.cpu.throttling.throttled, 3);
    assert_int_equal(s.cpu.throttling.throttled_ns, 40000);
    assert_int_equal(s.memory.usage, 1048576);
    assert_int_equal(s.memory.limit, 1 << 30);
    assert_int_equal(s.memory.failures, 2);
    assert_string_equal(s.memory.stats.text, "{\"anon\":4096,\"inactive_file\":8192}");
    assert_int_equal(s.blkio.bytes.n, 2);
    assert_string_equal(JSON_AT(s.blkio.bytes, stats_blkio_entry, 1)->op, "write");
    assert_int_equal(JSON_AT(s.blkio.bytes, stats_blkio_entry, 1)->value, 20);
    assert_int_equal(JSON_AT(s.blkio.serviced, stats_blkio_entry, 0)->value, 1);
    assert_int_equal(s.pids.current, 3);
    assert_string_equal(s.pids.limit.text, "18446744073709551615");
    assert_false(cgroup_stats_read("/docker/y", 1 << 30, a, &s));
    unmake();
}

static void test_v1(void **state)
{
    static const kernel_file files[] = {
        {"cpuacct/docker/x/cpuacct.usage", "77\n"},
        {"cpuacct/docker/x/cpuacct.usage_percpu", "70 7 \n"},
        {"cpuacct/docker/x/cpuacct.stat", "user 100\nsystem 50\n"},
        {"cpu/docker/x/cpu.stat", "nr_periods 1\nnr_throttled 2\nthrottled_time 3\n"},
        {"memory/docker/x/memory.usage_in_bytes", "500\n"},
        {"memory/docker/x/memory.max_usage_in_bytes", "900\n"},
        {"memory/docker/x/memory.limit_in_bytes", "1000\n"},
        {"memory/docker/x/memory.stat",
         "cache 1\ntotal_inactive_file 2\nhierarchical_memory_limit 18446744073709551615\n"},
        {"blkio/docker/x/blkio.throttle.io_service_bytes_recursive",
         "8:0 Read 11\n8:0 Write 22\n8:0 Total 33\nTotal 33\n"},
        {"pids/docker/x/pids.current", "2\n"},
        {"pids/docker/x/pids.max", "64\n"},
    };
    auto_arena *a = arena_new();
    stats_answer s = {0};

    (void)state;
    make(files, COUNT(files));
    cgroup_set_root(root, false);
    assert_true(cgroup_stats_read("/docker/x", 1 << 30, a, &s));
    assert_int_equal(s.cpu.usage.total, 77);
    assert_string_equal(s.cpu.usage.per_cpu.text, "[70,7]");
    assert_int_equal(s.cpu.usage.user, 100 * (1000000000 / sysconf(_SC_CLK_TCK)));
    assert_int_equal(s.cpu.throttling.throttled_ns, 3);
    assert_int_equal(s.memory.usage, 500);
    assert_int_equal(s.memory.most, 900);
    assert_int_equal(s.memory.limit, 1000);
    assert_non_null(
        strstr(s.memory.stats.text, "\"hierarchical_memory_limit\":18446744073709551615}"));
    assert_int_equal(s.blkio.bytes.n, 3);
    assert_int_equal(JSON_AT(s.blkio.bytes, stats_blkio_entry, 0)->major, 8);
    assert_true(s.blkio.serviced.set && s.blkio.serviced.n == 0);
    assert_string_equal(s.pids.limit.text, "64");
    unmake();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v2),
        cmocka_unit_test(test_v1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
