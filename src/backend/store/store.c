/* store.c - small JSON documents in SQLite, written by one worker job at a time.
 *
 * Batches queue up on the loop; whenever no job is writing, one takes the whole queue and commits
 * it in a single transaction, so fifty creates share one fsync.  A batch that asked for durability
 * is told after the commit; a group of lazy ones only is committed without a sync (the WAL keeps it
 * consistent).  The connection belongs to the job while one runs, else to the loop. */
#include <berth/buf.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/store.h>
#include <berth/timefmt.h>
#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
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
    err *result; /* set by the job */
    store_batch *next;
};

static struct {
    sqlite3 *db;
    store_batch *waiting, **waiting_last;
    store_batch *writing;
    bool job_running;
} store;

/* Each entry takes the schema one version further; user_version counts them. */
static const char *const migrations[] = {
    "CREATE TABLE containers(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE container_state(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE images(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE tags(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE layers(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE networks(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE endpoints(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE volumes(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;",
};

/* Table names reach SQL text, so only these do. */
static const char *const tables[] = {
    "containers", "container_state", "images",  "tags", "layers",
    "networks",   "endpoints",       "volumes", "meta",
};

static bool is_table(const char *name)
{
    for (size_t i = 0; i < COUNT(tables); i++)
        if (strcmp(tables[i], name) == 0)
            return true;
    return false;
}

static err *sql_error(sqlite3 *db, const char *what)
{
    return err_new(ERR_SYSTEM, "state database: %s: %s", what, sqlite3_errmsg(db));
}

static err *sql_exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sql_error(db, sql);
    return NULL;
}

static err *sql_int(sqlite3 *db, const char *sql, int *ret_n)
{
    sqlite3_stmt *st = NULL;
    err *e = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW)
        e = sql_error(db, sql);
    else
        *ret_n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return e;
}

/* The file counts as untrusted input: nothing in its schema may run, a page that lies is an error.
 */
static err *db_harden(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    TRY(sql_exec(db, "PRAGMA cell_size_check=ON"));
    TRY(sql_exec(db, "PRAGMA mmap_size=0"));
    TRY(sql_exec(db, "PRAGMA cache_size=-256")); /* KiB: rows are read once, at the start */
    TRY(sql_exec(db, "PRAGMA journal_mode=WAL"));
    TRY(sql_exec(db, "PRAGMA journal_size_limit=4194304"));
    return sql_exec(db, "PRAGMA locking_mode=EXCLUSIVE");
}

static err *db_check(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    err *e = NULL;

    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        e = sql_error(db, "quick_check");
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        e = err_new(ERR_SYSTEM, "state database: quick_check: %s", sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return e;
}

static err *db_migrate(sqlite3 *db)
{
    int have = 0;

    TRY(sql_int(db, "PRAGMA user_version", &have));
    if (have > (int)COUNT(migrations))
        return err_new(ERR_UNSUPPORTED,
                       "state database has schema version %d, this daemon knows only up to %zu: it "
                       "was written by a "
                       "newer daemon",
                       have, COUNT(migrations));
    for (; have < (int)COUNT(migrations); have++) {
        auto_free char *bump = xasprintf("PRAGMA user_version=%d", have + 1);

        TRY(sql_exec(db, "BEGIN IMMEDIATE"));
        TRY(sql_exec(db, migrations[have]));
        TRY(sql_exec(db, bump));
        TRY(sql_exec(db, "COMMIT"));
    }
    return NULL;
}

/* Every table of the schema can be read: what quick_check does not see. */
static err *db_has_tables(sqlite3 *db)
{
    for (size_t i = 0; i < COUNT(tables); i++) {
        auto_free char *sql =
            xasprintf("SELECT count(*) FROM (SELECT key, body FROM %s LIMIT 1)", tables[i]);
        int n;

        TRY(sql_int(db, sql, &n));
    }
    return NULL;
}

static err *db_open(const char *path, sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    err *e;

    if (sqlite3_open_v2(path, &db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK) {
        e = err_new(ERR_SYSTEM, "open %s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
    } else {
        e = db_harden(db);
        if (!e)
            e = db_check(db);
        if (!e)
            e = db_migrate(db);
        if (!e)
            e = db_has_tables(db);
    }
    if (e) {
        sqlite3_close(db);
        return e;
    }
    *ret_db = db;
    return NULL;
}

/* Keep the broken file for whoever wants to look, with its WAL, and make room for a new one. */
static err *set_aside(const char *path)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    int64_t now = time_now_ns() / 1000000000;

    for (size_t i = 0; i < COUNT(parts); i++) {
        auto_free char *from = xasprintf("%s%s", path, parts[i]);
        auto_free char *to = xasprintf("%s.corrupt-%lld%s", path, (long long)now, parts[i]);

        if (rename(from, to) < 0 && errno != ENOENT)
            return err_errno(errno, "set aside %s", from);
    }
    return NULL;
}

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
        e = sql_error(store.db, "prepare");
    } else {
        sqlite3_bind_text(st, 1, op->key, -1, SQLITE_STATIC);
        if (op->body)
            sqlite3_bind_text(st, 2, op->body, -1, SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE)
            e = sql_error(store.db, op->table);
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
    e = sql_exec(store.db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (!e)
        e = sql_exec(store.db, "BEGIN IMMEDIATE");
    if (!e) {
        e = write_group(group);
        if (!e)
            e = sql_exec(store.db, "COMMIT");
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
    e = db_open(path, &store.db);
    if (!e || err_kind(e) == ERR_UNSUPPORTED)
        return e;
    if (access(path, F_OK) < 0) /* not a broken file but no place for one */
        return e;
    log_error("state database is corrupt and was set aside", "path", path, "error", err_message(e));
    err_free(e);
    TRY(set_aside(path));
    TRY(db_open(path, &store.db));
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

    assert(is_table(table) && !store.job_running);
    if (sqlite3_prepare_v2(store.db, sql, -1, &st, NULL) != SQLITE_OK)
        return sql_error(store.db, table);
    while (!e && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 0);
        const char *body = (const char *)sqlite3_column_text(st, 1);

        if (key && body)
            e = fn(arg, key, body);
    }
    if (!e && rc != SQLITE_DONE)
        e = sql_error(store.db, table);
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

    assert(is_table(table));
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
