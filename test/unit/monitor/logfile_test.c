/* logfile_test.c - partial lines, rotation, compression, torn files, a disk that is full. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "logfile.h"
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

enum { SPLIT = 16 * 1024 };

typedef struct scratch {
    char *dir, *path;
} scratch;

static int up(void **state)
{
    scratch *s = new0(scratch);

    alarm(60);
    s->dir = xstrdup("/tmp/berth-logfile-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    s->path = xasprintf("%s/c-json.log", s->dir);
    *state = s;
    return 0;
}

static int down(void **state)
{
    scratch *s = *state;
    static const char *const ends[] = {"", ".1", ".2", ".3", ".1.gz", ".2.gz", ".3.gz"};

    for (size_t i = 0; i < COUNT(ends); i++) {
        auto_free char *path = xasprintf("%s%s", s->path, ends[i]);

        (void)unlink(path);
    }
    assert_int_equal(rmdir(s->dir), 0); /* also: no temporary file is left */
    free(s->dir);
    free(s->path);
    free(s);
    alarm(0);
    return 0;
}

static logfile *open_log(const scratch *s, int64_t max_size, unsigned max_files, bool compress)
{
    logfile_spec spec = {s->path, "", max_size, max_files, compress};
    logfile *l = NULL;

    assert_null(logfile_open(&spec, &l));
    return l;
}

static void put(logfile *l, unsigned stream, const char *text)
{
    logfile_write(l, stream, text, strlen(text));
}

static char *read_all(const char *path)
{
    gzFile f = gzopen(path, "rb"); /* reads plain files too */
    auto_buf b = {0};
    char piece[4096];
    int n;

    if (!f)
        return NULL;
    while ((n = gzread(f, piece, sizeof piece)) > 0)
        buf_add(&b, piece, (size_t)n);
    gzclose(f);
    return buf_take(&b);
}

static char *read_log(const scratch *s, const char *end)
{
    auto_free char *path = xasprintf("%s%s", s->path, end);

    return read_all(path);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void test_lines_across_reads(void **state)
{
    scratch *s = *state;
    logfile *l = open_log(s, -1, 1, false);
    auto_free char *text = NULL;

    put(l, LOG_STDOUT, "one\ntw");
    put(l, LOG_STDERR, "err\n");
    put(l, LOG_STDOUT, "o\n\nthree");
    logfile_finish(l, LOG_STDOUT);
    logfile_finish(l, LOG_STDERR);
    text = read_log(s, "");
    assert_int_equal(count(text, "\n"), 5);
    assert_non_null(strstr(text, "{\"log\":\"one\\n\",\"stream\":\"stdout\""));
    assert_non_null(strstr(text, "{\"log\":\"two\\n\",\"stream\":\"stdout\""));
    assert_non_null(strstr(text, "{\"log\":\"\\n\",\"stream\":\"stdout\""));
    assert_non_null(strstr(text, "{\"log\":\"err\\n\",\"stream\":\"stderr\""));
    assert_non_null(strstr(text, "{\"log\":\"three\",\"stream\":\"stdout\"")); /* no newline came */
    logfile_free(l);
}

/* A line of n bytes and a newline, written in pieces: how many records, and are they whole? */
static void long_line(scratch *s, size_t n, size_t piece, size_t records)
{
    logfile *l = open_log(s, -1, 1, false);
    auto_free char *line = xmalloc(n + 1), *text = NULL;
    const char *first_time, *at;

    memset(line, 'x', n);
    line[n] = '\n';
    for (size_t i = 0; i < n + 1; i += piece)
        logfile_write(l, LOG_STDOUT, line + i, n + 1 - i < piece ? n + 1 - i : piece);
    text = read_log(s, "");
    assert_int_equal(count(text, "\n"), records);
    assert_int_equal(count(text, "x\\n\",\"stream\"") + count(text, "\"\\n\",\"stream\""), 1);
    assert_int_equal(count(text, "x"), n);
    first_time = strstr(text, "\"time\"");
    for (at = first_time; (at = strstr(at, "\"time\"")); at++)
        assert_memory_equal(at, first_time, 30);
    logfile_free(l);
    assert_int_equal(unlink(s->path), 0);
}

static void test_long_lines_are_split(void **state)
{
    scratch *s = *state;

    for (size_t piece = 1000; piece <= 100000; piece *= 10) {
        long_line(s, SPLIT - 1, piece, 1);
        long_line(s, SPLIT + 1, piece, 2);
        long_line(s, 3 * SPLIT + 100, piece, 4);
    }
}

static void test_torn_end_is_closed(void **state)
{
    scratch *s = *state;
    int fd = open(s->path, O_WRONLY | O_CREAT, 0600);
    auto_free char *text = NULL;
    logfile *l;

    assert_int_equal(write(fd, "{\"log\":\"to", 10), 10);
    close(fd);
    l = open_log(s, -1, 1, false);
    put(l, LOG_STDOUT, "next\n");
    text = read_log(s, "");
    assert_non_null(strstr(text, "{\"log\":\"to\n{\"log\":\"next\\n\""));
    logfile_free(l);
}

static void write_numbers(logfile *l, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        auto_free char *line = xasprintf("line %u\n", i);

        put(l, LOG_STDOUT, line);
    }
}

static void test_rotation(void **state)
{
    scratch *s = *state;
    logfile *l = open_log(s, 2000, 3, false);
    auto_free char *now = NULL, *first = NULL, *second = NULL, *third = NULL;
    struct stat st;

    write_numbers(l, 0, 100);
    now = read_log(s, "");
    first = read_log(s, ".1");
    second = read_log(s, ".2");
    third = read_log(s, ".3");
    assert_non_null(strstr(now, "line 99"));
    assert_null(third);
    /* A record that finds the file full begins the next one: each is full, and by one record at
     * most. */
    assert_in_range(strlen(first), 2000, 2200);
    assert_in_range(strlen(second), 2000, 2200);
    assert_int_equal(stat(s->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    logfile_free(l);
}

/* The same in one write: the batch is cut where the file is full. */
static void test_rotation_within_a_batch(void **state)
{
    scratch *s = *state;
    logfile *l = open_log(s, 2000, 3, false);
    auto_free char *first = NULL;
    auto_buf b = {0};

    for (unsigned i = 0; i < 100; i++)
        buf_printf(&b, "line %u\n", i);
    logfile_write(l, LOG_STDOUT, b.data, b.len);
    first = read_log(s, ".1");
    assert_in_range(strlen(first), 2000, 2200);
    logfile_free(l);
}

static void test_single_file_is_dropped(void **state)
{
    scratch *s = *state;
    logfile *l = open_log(s, 2000, 1, false);
    auto_free char *now = NULL, *first = NULL;

    write_numbers(l, 0, 100);
    now = read_log(s, "");
    first = read_log(s, ".1");
    assert_null(first);
    assert_in_range(strlen(now), 1, 2200);
    assert_non_null(strstr(now, "line 99"));
    logfile_free(l);
}

static void reap_compressor(logfile *l)
{
    pid_t pid = waitpid(-1, NULL, 0);

    assert_true(pid > 0);
    assert_true(logfile_reaped(l, pid));
}

static void test_compression(void **state)
{
    scratch *s = *state;
    logfile *l = open_log(s, 2000, 3, true);
    auto_free char *packed = xasprintf("%s.1.gz", s->path), *text = NULL, *older = NULL;
    unsigned char magic[64];
    int fd;

    write_numbers(l, 0, 30);
    reap_compressor(l);
    assert_false(logfile_is_busy(l));
    write_numbers(l, 30, 60);
    reap_compressor(l);
    text = read_log(s, ".1.gz");
    older = read_log(s, ".2.gz");
    assert_non_null(strstr(older, "line 0\\n"));
    assert_in_range(strlen(text), 2000, 2200);
    fd = open(packed, O_RDONLY);
    assert_int_equal(read(fd, magic, sizeof magic), sizeof magic);
    close(fd);
    assert_int_equal(magic[0], 0x1f);
    assert_int_equal(magic[3] & 4, 4); /* the extra field */
    assert_memory_equal(magic + 12, "{\"lastTime\":\"20", 15);
    logfile_free(l);
}

/* While the last file is being compressed the next rotation waits, and says so. */
static void test_busy_compressor(void **state)
{
    scratch *s = *state;
    logfile *l = open_log(s, 2000, 3, true);
    auto_free char *first = NULL;

    write_numbers(l, 0, 100);
    assert_true(logfile_is_busy(l));
    reap_compressor(l);
    assert_false(logfile_is_busy(l));
    write_numbers(l, 100, 101);
    reap_compressor(l);
    first = read_log(s, ".1.gz");
    assert_non_null(strstr(first, "line 99\\n")); /* nothing was lost meanwhile */
    logfile_free(l);
}

static void test_compression_resumes(void **state)
{
    scratch *s = *state;
    auto_free char *left = xasprintf("%s.1", s->path), *text = NULL;
    int fd = open(left, O_WRONLY | O_CREAT, 0600);
    logfile *l;

    assert_int_equal(write(fd, "left\n", 5), 5);
    close(fd);
    l = open_log(s, 2000, 3, true);
    reap_compressor(l);
    text = read_log(s, ".1.gz");
    assert_string_equal(text, "left\n");
    assert_int_equal(access(left, F_OK), -1);
    logfile_free(l);
}

static void test_full_disk(void **state)
{
    scratch *s = *state;
    auto_free char *text = NULL, *filler = xasprintf("%s/filler", s->dir);
    char zeros[4096] = {0};
    logfile *l;
    int fd;

    if (mount("tmpfs", s->dir, "tmpfs", 0, "size=64k") < 0)
        skip();
    l = open_log(s, -1, 1, false);
    write_numbers(l, 0, 10);
    fd = open(filler, O_WRONLY | O_CREAT, 0600);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    close(fd);
    write_numbers(l, 10, 200);
    assert_int_equal(logfile_errno(l), ENOSPC);
    assert_in_range(logfile_lost(l), 100, 190);
    assert_int_equal(unlink(filler), 0);
    write_numbers(l, 200, 201);
    assert_int_equal(logfile_errno(l), 0);
    text = read_log(s, "");
    logfile_free(l);
    assert_int_equal(umount2(s->dir, MNT_DETACH), 0);
    assert_int_equal(count(text, "\n"), count(text, "\"}\n"));
    assert_int_equal(count(text, "\n"), count(text, "{\"log\":"));
    assert_non_null(strstr(text, "line 200\\n"));
}

#define log_test(fn) cmocka_unit_test_setup_teardown(fn, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        log_test(test_lines_across_reads),
        log_test(test_long_lines_are_split),
        log_test(test_torn_end_is_closed),
        log_test(test_rotation),
        log_test(test_rotation_within_a_batch),
        log_test(test_single_file_is_dropped),
        log_test(test_compression),
        log_test(test_busy_compressor),
        log_test(test_compression_resumes),
        log_test(test_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
