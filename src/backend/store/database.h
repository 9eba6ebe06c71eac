/* database.h - the SQLite file behind the store.  All of it blocks. */
#ifndef BERTH_STORE_DATABASE_H
#define BERTH_STORE_DATABASE_H

#include <berth/err.h>
#include <sqlite3.h>
#include <stdbool.h>

/* Makes it when there is none, migrates it forward.  ERR_UNSUPPORTED for a newer schema, another
 * error for what cannot be read; the caller closes *ret_db. */
must_check err *database_open(const char *path, sqlite3 **ret_db);
/* Renames a broken file, with its WAL, to PATH.corrupt-TIME. */
must_check err *database_set_aside(const char *path);

/* Table names reach SQL text, so only these do. */
bool database_has_table(const char *name);
must_check err *database_exec(sqlite3 *db, const char *sql);
must_check err *database_error(sqlite3 *db, const char *what); /* "state database: what: why" */

#endif
