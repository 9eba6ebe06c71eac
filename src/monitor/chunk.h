/* chunk.h - a piece of a stream on its way; taken from the kernel and given back to it when idle.
 */
#ifndef MONITOR_CHUNK_H
#define MONITOR_CHUNK_H

#include <stddef.h>

enum { CHUNK_DATA = 64 * 1024 };

typedef struct chunk {
    size_t at, len;  /* what is still to be done: data[at..len) */
    unsigned stream; /* LOG_STDOUT or LOG_STDERR */
    char data[CHUNK_DATA];
} chunk;

chunk *chunk_get(void); /* aborts when out of memory */
void chunk_put(chunk *c);
void chunk_trim(void); /* give the kept spare one back */

#endif
