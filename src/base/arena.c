/* arena.c - memory freed in one stroke.
 *
 * Blocks double from 512 bytes to 32 KiB; what is larger than half a block gets one of its own, so
 * little is wasted.  One owner at a time. */
#include <berth/arena.h>
#include <berth/mem.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_FIRST = 512, BLOCK_MAX = 32 << 10, ALIGN = _Alignof(max_align_t) };

typedef struct block {
    struct block *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
} block;

typedef struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *p;
} deferred;

struct arena {
    block *blocks; /* the first one is being filled */
    deferred *deferred;
    size_t next_size, total;
};

arena *arena_new(void)
{
    arena *a = new0(arena);

    a->next_size = BLOCK_FIRST;
    return a;
}

void arena_free(arena *a)
{
    if (!a)
        return;
    for (deferred *d = a->deferred; d; d = d->next)
        d->fn(d->p);
    for (block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(a);
}

static block *block_new(size_t size)
{
    block *b = xcalloc(1, sizeof(*b) + size);

    b->size = size;
    return b;
}

/* A large one goes behind the block being filled. */
static void *large_alloc(arena *a, size_t n)
{
    block *b = block_new(n);

    b->used = n;
    if (a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        a->blocks = b;
    }
    return b->data;
}

void *arena_alloc(arena *a, size_t n)
{
    block *b = a->blocks;
    void *p;

    if (n > SIZE_MAX - ALIGN)
        abort();
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    a->total += n;
    if (!b || b->size - b->used < n) {
        if (n > a->next_size / 2)
            return large_alloc(a, n);
        b = block_new(a->next_size);
        b->next = a->blocks;
        a->blocks = b;
        if (a->next_size < BLOCK_MAX)
            a->next_size *= 2;
    }
    p = b->data + b->used;
    b->used += n;
    return p;
}

char *arena_strndup(arena *a, const char *s, size_t n)
{
    char *copy;

    n = strnlen(s, n);
    copy = arena_alloc(a, n + 1);
    memcpy(copy, s, n);
    return copy;
}

char *arena_strdup(arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(arena *a, const char *fmt, ...)
{
    auto_free char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    s = xvasprintf(fmt, ap);
    va_end(ap);
    return arena_strdup(a, s);
}

void arena_defer(arena *a, void (*fn)(void *), void *p)
{
    deferred *d = arena_alloc(a, sizeof(*d));

    *d = (deferred){a->deferred, fn, p};
    a->deferred = d;
}

size_t arena_size(const arena *a)
{
    return a->total;
}
