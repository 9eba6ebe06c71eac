/* store.h - what survives: one SQLite file of small JSON documents, by table and key.
 *
 * Memory is the truth while the daemon runs; the store makes it outlive it.  Writes are gathered in
 * batches; a batch is atomic, batches are committed in the order they were given, grouped on a
 * worker.  Loop thread only, except store_open, store_each and store_close, which block and are
 * for the start and the end of the daemon. */
#ifndef BERTH_STORE_H
#define BERTH_STORE_H

#include <berth/err.h>
#include <stdbool.h>

/* Tables: "containers", "container_state", "images", "tags", "layers", "networks", "endpoints",
 * "volumes", "meta". */

/* Opens or creates; migrates forward.  A newer schema is refused (ERR_UNSUPPORTED); a corrupt file
 * is set aside as PATH.corrupt-TIME, logged, and *ret_rebuilt is true: the rooms then rebuild from
 * their own files. */
must_check err *store_open(const char *path, bool *ret_rebuilt);
must_check err *store_each(const char *table,
                           err *(*fn)(void *arg, const char *key, const char *body), void *arg);
void store_close(void); /* commits what is waiting */

typedef struct store_batch store_batch;
store_batch *store_batch_new(void);
void store_put(store_batch *b, const char *table, const char *key, const char *body); /* copies */
void store_delete(store_batch *b, const char *table, const char *key);
/* Durable (fsynced) before done runs; consumes b.  e is owned by done. */
void store_commit(store_batch *b, void (*done)(void *arg, err *e), void *arg);
/* For what the kernel and the monitors know anyway: written soon, failures are logged. */
void store_commit_lazy(store_batch *b);

#endif
