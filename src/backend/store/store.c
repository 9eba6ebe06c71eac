/* store.c - small JSON documents in SQLite, written by one worker job at a time.
 *
 * Batches queue up on the loop; whenever no job is writing, one takes the whole queue and commits
 * it in a single transaction, so fifty creates share one fsync.  A batch that asked for durability
 * is told after the commit; a group of lazy ones only is committed without a sync (the WAL keeps it
 * consistent).  The connection belongs to the job while one runs, else to the loop. */
#include "database.h"
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/store.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct write_op {
    char *table, *key, *body; /* body NULL: delete */
    struct write_op *next;
} write_op;

struct store_batch {
    write_op *first, **last;
    void (*done)(void *arg, err *e); /* NULL: lazy */
    void *arg;
    store_batch *next;
};

static struct {
    sqlite3 *db;
    store_batch *waiting, **waiting_last;
    store_batch *writing;
    bool job_running;
} store;

static void op_free(write_op *op)
{
    free(op->table);
    free(op->key);
    free(op->body);
    free(op);
}

static void batch_free(store_batch *b)
{
    for (write_op *op = b->first, *next; op; op = next) {
        next = op->next;
        op_free(op);
    }
    free(b);
}

static err *write_one(const write_op *op)
{
    auto_free char *sql =
        op->body
            ? xasprintf("INSERT INTO %s(key, body) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET "
                        "body=excluded.body",
                        op->table)
            : xasprintf("DELETE FROM %s WHERE key=?1", op->table);
    sqlite3_stmt *st = NULL;
    err *e = NULL;

    if (sqlite3_prepare_v2(store.db, sql, -1, &st, NULL) != SQLITE_OK) {
        e = database_error(store.db, "prepare");
    } else {
        sqlite3_bind_text(st, 1, op->key, -1, SQLITE_STATIC);
        if (op->body)
            sqlite3_bind_text(st, 2, op->body, -1, SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE)
            e = database_error(store.db, op->table);
    }
    sqlite3_finalize(st);
    return e;
}

static err *write_group(const store_batch *first)
{
    for (const store_batch *b = first; b; b = b->next)
        for (const write_op *op = b->first; op; op = op->next)
            TRY(write_one(op));
    return NULL;
}

/* One transaction for the whole group: all of it, or none and everyone is told. */
static err *job_commit(void *arg)
{
    store_batch *group = arg;
    bool durable = false;
    err *e;

    for (store_batch *b = group; b; b = b->next)
        durable |= b->done != NULL;
    e = database_exec(store.db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (!e)
        e = database_exec(store.db, "BEGIN IMMEDIATE");
    if (!e) {
        e = write_group(group);
        if (!e)
            e = database_exec(store.db, "COMMIT");
        if (e)
            sqlite3_exec(store.db, "ROLLBACK", NULL, NULL, NULL);
    }
    return e;
}

static void start_writing(void);

static void on_committed(void *arg, err *e)
{
    store_batch *group = arg;

    store.writing = NULL;
    store.job_running = false;
    start_writing();
    for (store_batch *b = group, *next; b; b = next) {
        next = b->next;
        if (b->done)
            b->done(b->arg, err_copy(e));
        else if (e)
            log_error("state could not be written", "error", err_message(e));
        batch_free(b);
    }
    err_free(e);
}

static void start_writing(void)
{
    if (store.job_running || !store.waiting)
        return;
    store.writing = store.waiting;
    store.waiting = NULL;
    store.waiting_last = &store.waiting;
    store.job_running = true;
    job_begin("store.commit", job_commit, store.writing, on_committed);
}

static void enqueue(store_batch *b)
{
    b->next = NULL;
    *store.waiting_last = b;
    store.waiting_last = &b->next;
    start_writing();
}

err *store_open(const char *path, bool *ret_rebuilt)
{
    err *e;

    assert(!store.db);
    store.waiting_last = &store.waiting;
    *ret_rebuilt = false;
    e = database_open(path, &store.db);
    if (!e || err_kind(e) == ERR_UNSUPPORTED)
        return e;
    if (access(path, F_OK) < 0) /* not a broken file but no place for one */
        return e;
    log_error("state database is corrupt and was set aside", "path", path, "error", err_message(e));
    err_free(e);
    TRY(database_set_aside(path));
    TRY(database_open(path, &store.db));
    *ret_rebuilt = true;
    return NULL;
}

err *store_each(const char *table, err *(*fn)(void *arg, const char *key, const char *body),
                void *arg)
{
    auto_free char *sql = xasprintf("SELECT key, body FROM %s ORDER BY key", table);
    sqlite3_stmt *st = NULL;
    err *e = NULL;
    int rc = SQLITE_DONE;

    assert(database_has_table(table) && !store.job_running);
    if (sqlite3_prepare_v2(store.db, sql, -1, &st, NULL) != SQLITE_OK)
        return database_error(store.db, table);
    while (!e && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        const char *body = (const char *)sqlite3_column_text(st, 1);

        if (key && body)
            e = fn(arg, key, body);
    }
    if (!e && rc != SQLITE_DONE)
        e = database_error(store.db, table);
    sqlite3_finalize(st);
    return e;
}

/* After the loop has ended: nothing runs beside us, so what waits is written here. */
void store_close(void)
{
    if (!store.db)
        return;
    assert(!store.job_running);
    if (store.waiting) {
        store_batch *group = store.waiting;

        store.waiting = NULL;
        store.waiting_last = &store.waiting;
        err_log(job_commit(group), "state could not be written");
        for (store_batch *b = group, *next; b; b = next) {
            next = b->next;
            batch_free(b);
        }
    }
    sqlite3_close(store.db);
    store.db = NULL;
}

store_batch *store_batch_new(void)
{
    store_batch *b = new0(store_batch);

    b->last = &b->first;
    return b;
}

static void batch_add(store_batch *b, const char *table, const char *key, const char *body)
{
    write_op *op = new0(write_op);

    assert(database_has_table(table));
    op->table = xstrdup(table);
    op->key = xstrdup(key);
    op->body = xstrdup(body);
    *b->last = op;
    b->last = &op->next;
}

void store_put(store_batch *b, const char *table, const char *key, const char *body)
{
    assert(body);
    batch_add(b, table, key, body);
}

void store_delete(store_batch *b, const char *table, const char *key)
{
    batch_add(b, table, key, NULL);
}

void store_commit(store_batch *b, void (*done)(void *arg, err *e), void *arg)
{
    assert(done);
    b->done = done;
    b->arg = arg;
    enqueue(b);
}

void store_commit_lazy(store_batch *b)
{
    enqueue(b);
}
