/* buf.h - bytes that grow at the end and are consumed at the front. */
#ifndef BERTH_BUF_H
#define BERTH_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct buf {
    char *data; /* always one byte longer than len, that byte NUL; NULL while nothing was added */
    size_t len;
    size_t cap;
} buf;

void buf_done(buf *b); /* frees; the buf is then empty and usable */
void buf_reserve(buf *b, size_t more);

/* These are most of what an encoder does, so they are here to be inlined. */
static inline void buf_add(buf *b, const void *p, size_t n)
{
    if (b->cap <= b->len + n || n > b->cap)
        buf_reserve(b, n);
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
}

static inline void buf_char(buf *b, char c)
{
    if (b->cap <= b->len + 1)
        buf_reserve(b, 1);
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
}

static inline void buf_str(buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_int(buf *b, int64_t n); /* in decimal */
void buf_printf(buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(buf *b, size_t n); /* drop n bytes at the front */
void buf_truncate(buf *b, size_t len);
char *buf_take(buf *b); /* the NUL-terminated bytes, "" for none; caller frees */

#define auto_buf __attribute__((cleanup(buf_done))) buf

#endif
