/* reader_test.c - where a log is read to, and what a rotation meanwhile takes from it: nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/buf.h>
#include <berth/logs.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 20000 };

typedef struct folder {
    char dir[32];
    char *path;
} folder;

typedef struct taker {
    buf text;
    bool stall, ended; /* stall: no more until it is resumed */
} taker;

static folder *folder_new(void)
{
    folder *f = new0(folder);

    snprintf(f->dir, sizeof f->dir, "/tmp/berth-reader-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->path = xasprintf("%s/log", f->dir);
    return f;
}

static void folder_free(folder *f)
{
    unlink(f->path);
    for (int i = 1; i < 10; i++) {
        auto_free char *old = xasprintf("%s.%d", f->path, i);

        unlink(old);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f->path);
    free(f);
}

/* Lines numbered from one on. */
static void write_lines(const folder *f, int from, int n)
{
    FILE *out = fopen(f->path, "ae");

    assert_non_null(out);
    for (int i = from; i < from + n; i++)
        fprintf(
            out,
            "{\"log\":\"%d\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05.%09dZ\"}\n", i,
            i);
    fclose(out);
}

static void rotate(const folder *f)
{
    for (int i = 8; i >= 0; i--) {
        auto_free char *from = i ? xasprintf("%s.%d", f->path, i) : xstrdup(f->path),
                       *to = xasprintf("%s.%d", f->path, i + 1);

        (void)rename(from, to);
    }
}

static log_position position(const folder *f)
{
    struct stat st;

    assert_int_equal(stat(f->path, &st), 0);
    return (log_position){.size = st.st_size, .inode = st.st_ino};
}

static bool on_data(void *arg, const char *p, size_t n)
{
    taker *t = arg;

    buf_add(&t->text, p, n);
    if (t->stall)
        loop_stop();
    return !t->stall;
}

static void on_end(void *arg, err *e)
{
    taker *t = arg;

    assert_null(e);
    t->ended = true;
    loop_stop();
}

static const log_reader_events events = {on_data, on_end};

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("the reader does not end");
}

static void run(void)
{
    timer *late = timer_start("test.late", WAIT_MS, on_late, NULL);

    loop_run();
    timer_stop(late);
}

static void check_lines(const taker *t, int from, int to)
{
    auto_buf wanted = {0};

    for (int i = from; i < to; i++)
        buf_printf(&wanted, "%d\n", i);
    assert_true(t->ended);
    assert_int_equal(t->text.len, wanted.len);
    assert_memory_equal(t->text.data, wanted.data, wanted.len);
}

static void read_and_check(const folder *f, log_query q, int from, int to)
{
    taker t = {0};
    log_reader *r = log_reader_new(f->path, &q, &events, &t);

    run();
    log_reader_free(r);
    check_lines(&t, from, to);
    buf_done(&t.text);
}

static const log_query all = {.out = true, .err = true, .tail = -1};

static void test_stops_in_the_live_file(void **state)
{
    folder *f = folder_new();
    log_query q = all;

    (void)state;
    write_lines(f, 0, 100);
    rotate(f);
    write_lines(f, 100, 50);
    q.stop = position(f);
    write_lines(f, 150, 1000);
    read_and_check(f, q, 0, 150);
    folder_free(f);
}

static void test_stops_in_a_file_that_was_rotated(void **state)
{
    folder *f = folder_new();
    log_query q = all;

    (void)state;
    write_lines(f, 0, 100);
    rotate(f);
    write_lines(f, 100, 50);
    q.stop = position(f);
    write_lines(f, 150, 10);
    rotate(f);
    write_lines(f, 160, 10);
    rotate(f);
    write_lines(f, 170, 10);
    read_and_check(f, q, 0, 150);
    folder_free(f);
}

/* The first block is out, the rest is still to be read when every file gets another name. */
static void test_rotation_while_it_reads(void **state)
{
    folder *f = folder_new();
    taker t = {.stall = true};
    log_reader *r;

    (void)state;
    write_lines(f, 0, 20000);
    rotate(f);
    write_lines(f, 20000, 20000);
    rotate(f);
    write_lines(f, 40000, 20000);
    r = log_reader_new(f->path, &all, &events, &t);
    run();
    assert_false(t.ended);
    for (int i = 0; i < 3; i++) {
        rotate(f);
        write_lines(f, 60000 + 10 * i, 10);
    }
    t.stall = false;
    log_reader_resume(r);
    run();
    log_reader_free(r);
    check_lines(&t, 0, 60030);
    buf_done(&t.text);
    folder_free(f);
}

static void test_tail_over_rotated_files(void **state)
{
    static const int tails[] = {0, 1, 9, 10, 11, 25, 30, 31, 100};
    folder *f = folder_new();

    (void)state;
    for (int i = 0; i < 3; i++) {
        if (i)
            rotate(f);
        write_lines(f, 10 * i, 10);
    }
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        log_query q = all;

        q.tail = tails[i];
        read_and_check(f, q, tails[i] < 30 ? 30 - tails[i] : 0, 30);
    }
    folder_free(f);
}

static int setup(void **state)
{
    (void)state;
    return loop_init() != NULL;
}

static int teardown(void **state)
{
    (void)state;
    loop_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stops_in_the_live_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_in_a_file_that_was_rotated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotation_while_it_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail_over_rotated_files, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
