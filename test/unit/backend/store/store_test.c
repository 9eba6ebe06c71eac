/* store_test.c - what is committed is there again, a broken file is set aside, a newer one refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/store.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];
static char *path;

static int set_up(void **state)
{
    (void)state;
    strncpy(dir, "/tmp/berth-store-XXXXXX", sizeof(dir) - 1);
    assert_non_null(mkdtemp(dir));
    path = xasprintf("%s/state.db", dir);
    assert_null(loop_init());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_done();
    store_close();
    err_free(tree_remove(dir));
    free(path);
    return 0;
}

static unsigned told;

static void on_committed(void *arg, err *e)
{
    assert_null(e);
    assert_int_equal((uintptr_t)arg, told); /* in the order they were given */
    if (++told == 50)
        loop_stop();
}

static void on_last_committed(void *arg, err *e)
{
    (void)arg;
    assert_null(e);
    loop_stop();
}

static err *count(void *arg, const char *key, const char *body)
{
    (void)key;
    assert_string_equal(body, "{\"n\":1}");
    ++*(unsigned *)arg;
    return NULL;
}

static void test_batches_survive(void **state)
{
    unsigned rows = 0;
    bool rebuilt = true;

    (void)state;
    assert_null(store_open(path, &rebuilt));
    assert_false(rebuilt);
    for (uintptr_t i = 0; i < 50; i++) {
        auto_free char *key = xasprintf("k%lu", (unsigned long)i);
        store_batch *b = store_batch_new();

        store_put(b, "containers", key, "{\"n\":0}");
        store_put(b, "containers", key, "{\"n\":1}");
        store_put(b, "images", key, "{}");
        store_delete(b, "images", key);
        store_commit(b, on_committed, (void *)i);
    }
    loop_run();
    assert_int_equal(told, 50);
    store_close();
    assert_null(store_open(path, &rebuilt));
    assert_null(store_each("containers", count, &rows));
    assert_int_equal(rows, 50);
    rows = 0;
    assert_null(store_each("images", count, &rows));
    assert_int_equal(rows, 0);
}

static void spoil_at(const char *at, const char *bytes, size_t n)
{
    FILE *f = fopen(at, "wb");

    assert_non_null(f);
    fwrite(bytes, 1, n, f);
    fclose(f);
}

static void spoil(const char *bytes, size_t n)
{
    spoil_at(path, bytes, n);
}

static unsigned set_aside(void)
{
    auto_closedir DIR *d = opendir(dir);
    unsigned n = 0;

    for (struct dirent *ent; (ent = readdir(d));)
        n += str_starts(ent->d_name, "state.db.corrupt-");
    return n;
}

static void test_broken_files_are_set_aside(void **state)
{
    static char noise[8192];
    bool rebuilt;

    (void)state;
    memset(noise, 0x5A, sizeof(noise));
    spoil(noise, sizeof(noise));
    assert_null(store_open(path, &rebuilt));
    assert_true(rebuilt);
    assert_int_equal(set_aside(), 1);
    store_close();
    spoil("", 0); /* an empty file is a new database */
    assert_null(store_open(path, &rebuilt));
    assert_false(rebuilt);
}

static void test_a_newer_schema_is_refused(void **state)
{
    sqlite3 *db;
    bool rebuilt;
    err *e;

    (void)state;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=1000", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    e = store_open(path, &rebuilt);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_UNSUPPORTED);
    assert_non_null(strstr(err_message(e), "newer daemon"));
    err_free(e);
    assert_int_equal(set_aside(), 0);
}

static void test_a_folder_is_no_database(void **state)
{
    bool rebuilt;

    (void)state;
    assert_null(tree_make(path, 0700));
    assert_null(
        store_open(path, &rebuilt)); /* it is put out of the way like any other that is none */
    assert_true(rebuilt);
}

/* What a cut creation or a deleted database left beside it becomes no part of the next one. */
static void test_leftovers_are_no_part_of_a_new_one(void **state)
{
    auto_free char *wal = xasprintf("%s-wal", path), *fresh = xasprintf("%s.new", path);
    store_batch *b;
    unsigned rows = 0;
    bool rebuilt;

    (void)state;
    assert_null(store_open(path, &rebuilt));
    b = store_batch_new();
    store_put(b, "containers", "only in the WAL", "{\"n\":1}");
    store_commit(b, on_last_committed, NULL);
    loop_run();
    assert_int_equal(rename(wal, fresh), 0); /* kept over the close, which would empty it */
    store_close();
    assert_int_equal(rename(fresh, wal), 0);
    assert_int_equal(unlink(path), 0);
    spoil_at(fresh, "cut", 3);
    assert_null(store_open(path, &rebuilt));
    assert_false(rebuilt);
    assert_null(store_each("containers", count, &rows));
    assert_int_equal(rows, 0);
    assert_int_equal(access(fresh, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches_survive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_files_are_set_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_newer_schema_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers_are_no_part_of_a_new_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_is_no_database, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
