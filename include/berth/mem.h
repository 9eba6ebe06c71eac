/* mem.h - allocation that cannot fail, and ownership by scope.
 *
 * Out of memory aborts.  auto_free and its kin release at the end of the scope; take() moves the
 * value out, so that the scope releases nothing.  Any thread. */
#ifndef BERTH_MEM_H
#define BERTH_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s); /* NULL for NULL */
char *xstrndup(const char *s, size_t n);
void *xmemdup(const void *p, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

#define new0(type)   ((type *)xcalloc(1, sizeof(type)))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void mem_freep(void *pointer_to_pointer); /* free(*p) */
void mem_closep(int *fd);                 /* close(*fd) unless negative; keeps errno */
void mem_closedirp(void *pointer_to_dir); /* closedir(*p) unless NULL */
void mem_fclosep(void *pointer_to_file);  /* fclose(*p) unless NULL */

#define auto_free     __attribute__((cleanup(mem_freep)))
#define auto_close    __attribute__((cleanup(mem_closep)))
#define auto_closedir __attribute__((cleanup(mem_closedirp)))
#define auto_fclose   __attribute__((cleanup(mem_fclosep)))

/* The value of a scope-owned variable, which then owns nothing. */
#define take(p)                     \
    __extension__({                 \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })
static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#endif
