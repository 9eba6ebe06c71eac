/* arena.h - memory freed in one stroke: a request's strings, a decoded body.
 *
 * One owner at a time; it may move between threads with whatever owns it. */
#ifndef BERTH_ARENA_H
#define BERTH_ARENA_H

#include <stddef.h>

typedef struct arena arena;

arena *arena_new(void); /* an empty arena costs one small allocation */
void arena_free(arena *a);
void *arena_alloc(arena *a, size_t n);       /* zeroed, aligned for any type */
char *arena_strdup(arena *a, const char *s); /* NULL for NULL */
char *arena_strndup(arena *a, const char *s, size_t n);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Call fn(p) when the arena is freed, last registered first. */
void arena_defer(arena *a, void (*fn)(void *), void *p);
size_t arena_size(const arena *a); /* bytes handed out */

static inline void arena_freep(arena **a)
{
    arena_free(*a);
}
#define auto_arena __attribute__((cleanup(arena_freep))) arena

#endif
