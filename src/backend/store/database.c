/* database.c - the SQLite file itself: made whole, opened hardened, checked, migrated, set aside.
 *
 * A new database appears by a rename, with its schema in it: there is none that was begun only.
 * Blocks; at start. */
#include "database.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

bool database_has_table(const char *name)
{
    for (size_t i = 0; i < COUNT(tables); i++)
        if (strcmp(tables[i], name) == 0)
            return true;
    return false;
}

err *database_error(sqlite3 *db, const char *what)
{
    bool full = (sqlite3_errcode(db) & 0xFF) == SQLITE_FULL;

    return err_new(ERR_SYSTEM, "state database: %s: %s", what,
                   full ? "no space left on device" : sqlite3_errmsg(db));
}

err *database_exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return database_error(db, sql);
    return NULL;
}

static err *read_int(sqlite3 *db, const char *sql, int *ret_n)
{
    sqlite3_stmt *st = NULL;
    err *e = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW)
        e = database_error(db, sql);
    else
        *ret_n = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return e;
}

/* The file counts as untrusted input: nothing in its schema may run, a page that lies is an error.
 */
static err *harden(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    TRY(database_exec(db, "PRAGMA cell_size_check=ON"));
    TRY(database_exec(db, "PRAGMA mmap_size=0"));
    TRY(database_exec(db, "PRAGMA cache_size=-256")); /* KiB: rows are read once, at the start */
    TRY(database_exec(db, "PRAGMA journal_mode=WAL"));
    TRY(database_exec(db, "PRAGMA journal_size_limit=4194304"));
    return database_exec(db, "PRAGMA locking_mode=EXCLUSIVE");
}

static err *check(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    err *e = NULL;

    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW)
        e = database_error(db, "quick_check");
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        e = err_new(ERR_SYSTEM, "state database: quick_check: %s", sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    return e;
}

static err *migrate(sqlite3 *db)
{
    int have = 0;

    TRY(read_int(db, "PRAGMA user_version", &have));
    if (have > (int)COUNT(migrations))
        return err_new(ERR_UNSUPPORTED,
                       "state database has schema version %d, this daemon knows only up to %zu: it "
                       "was written by a "
                       "newer daemon",
                       have, COUNT(migrations));
    for (; have < (int)COUNT(migrations); have++) {
        auto_free char *bump = xasprintf("PRAGMA user_version=%d", have + 1);

        TRY(database_exec(db, "BEGIN IMMEDIATE"));
        TRY(database_exec(db, migrations[have]));
        TRY(database_exec(db, bump));
        TRY(database_exec(db, "COMMIT"));
    }
    return NULL;
}

/* Every table of the schema can be read: what quick_check does not see. */
static err *check_tables(sqlite3 *db)
{
    for (size_t i = 0; i < COUNT(tables); i++) {
        auto_free char *sql =
            xasprintf("SELECT count(*) FROM (SELECT key, body FROM %s LIMIT 1)", tables[i]);
        int n;

        TRY(read_int(db, sql, &n));
    }
    return NULL;
}

static err *connect_to(const char *path, int flags, sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    err *e = NULL;

    if (sqlite3_open_v2(path, &db,
                        flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) == SQLITE_OK) {
        *ret_db = db;
        return NULL;
    }
    e = err_new(ERR_SYSTEM, "open %s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    return e;
}

/* ---- a new one ---- */

static err *sync_path(const char *path, int flags)
{
    auto_close int fd = open(path, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_errno(errno, "sync %s", path);
    return NULL;
}

/* Nobody else knows this file yet, so one sync at the end does for all of it. */
static err *fill(const char *path)
{
    sqlite3 *db = NULL;
    err *e;

    TRY(connect_to(path, SQLITE_OPEN_CREATE, &db));
    e = database_exec(db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY");
    if (!e)
        e = migrate(db);
    if (!e)
        e = database_exec(db, "PRAGMA journal_mode=WAL");
    sqlite3_close(db);
    return e ? e : sync_path(path, 0);
}

/* A WAL that outlived its database would be read as part of the next one. */
static err *clear(const char *path)
{
    static const char *const parts[] = {".new", ".new-wal", ".new-shm", "-wal", "-shm"};

    for (size_t i = 0; i < COUNT(parts); i++) {
        auto_free char *left = xasprintf("%s%s", path, parts[i]);

        if (unlink(left) < 0 && errno != ENOENT)
            return err_errno(errno, "remove %s", left);
    }
    return NULL;
}

static err *make(const char *path)
{
    auto_free char *fresh = xasprintf("%s.new", path), *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');

    TRY(clear(path));
    TRY(fill(fresh));
    if (rename(fresh, path) < 0)
        return err_errno(errno, "rename %s", fresh);
    if (slash)
        *slash = '\0';
    return sync_path(slash ? dir : ".", O_DIRECTORY);
}

/* ---- any ---- */

err *database_open(const char *path, sqlite3 **ret_db)
{
    sqlite3 *db = NULL;
    err *e;

    if (access(path, F_OK) < 0 && errno == ENOENT)
        TRY(make(path));
    TRY(connect_to(path, 0, &db));
    e = harden(db);
    if (!e)
        e = check(db);
    if (!e)
        e = migrate(db);
    if (!e)
        e = check_tables(db);
    if (e) {
        sqlite3_close(db);
        return e;
    }
    *ret_db = db;
    return NULL;
}

/* Keep the broken file for whoever wants to look, with its WAL, and make room for a new one. */
err *database_set_aside(const char *path)
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
