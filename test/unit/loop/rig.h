/* rig.h - what the tests of this room share: a loop per test, bounded time, a scratch directory,
 * what was logged. */
#ifndef BERTH_TEST_LOOP_RIG_H
#define BERTH_TEST_LOOP_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <berth/err.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RIG __attribute__((unused)) static

/* cmocka setup and teardown: nothing in a test may wait for more than the alarm. */
RIG int rig_up(void **state)
{
    (void)state;
    alarm(60);
    assert_null(loop_init());
    return 0;
}

RIG int rig_down(void **state)
{
    (void)state;
    loop_done();
    alarm(0);
    return 0;
}

#define rig_test(fn) cmocka_unit_test_setup_teardown(fn, rig_up, rig_down)

RIG uint64_t rig_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

RIG void rig_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

RIG int rig_open_fds(void)
{
    auto_closedir DIR *d = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    return n - 3; /* ".", ".." and the directory itself */
}

/* A directory of this test; rig_rmdir removes it and the plain files in it. */
RIG char *rig_mkdir(void)
{
    char *dir = xstrdup("/tmp/berth-test-XXXXXX");

    assert_non_null(mkdtemp(dir));
    return dir;
}

RIG void rig_rmdir(char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    assert_non_null(d);
    while ((entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
    free(dir);
}

/* Collect what goes to stderr until rig_log_end, which gives the text; the caller frees. */
typedef struct rig_log {
    int saved, file;
} rig_log;

RIG rig_log rig_log_begin(void)
{
    rig_log log = {.saved = dup(2), .file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};

    assert_true(log.saved >= 0 && log.file >= 0);
    fflush(stderr);
    assert_int_equal(dup2(log.file, 2), 2);
    return log;
}

RIG char *rig_log_end(rig_log *log)
{
    off_t n;
    char *text;

    fflush(stderr);
    n = lseek(log->file, 0, SEEK_END);
    assert_true(n >= 0);
    text = xcalloc((size_t)n + 1, 1);
    assert_int_equal(pread(log->file, text, (size_t)n, 0), n);
    dup2(log->saved, 2);
    close(log->saved);
    close(log->file);
    return text;
}

#endif
