/* chunk.c - pieces of streams on their way.
 *
 * At nearly all times one chunk at most is in use, so one spare is kept; only the pages that were
 * filled cost memory.  One thread. */
#include "chunk.h"
#include <stdlib.h>
#include <sys/mman.h>

static chunk *spare;

chunk *chunk_get(void)
{
    chunk *c = spare;

    spare = NULL;
    if (!c) {
        c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (c == MAP_FAILED)
            abort();
    }
    c->at = c->len = 0;
    return c;
}

void chunk_put(chunk *c)
{
    if (!c)
        return;
    if (spare)
        (void)munmap(c, sizeof *c);
    else
        spare = c;
}

void chunk_trim(void)
{
    if (spare)
        (void)munmap(spare, sizeof *spare);
    spare = NULL;
}
