/* buf.c - bytes that grow at the end and are consumed at the front.  One owner at a time. */
#include <berth/buf.h>
#include <berth/mem.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 64 };

void buf_done(buf *b)
{
    free(b->data);
    *b = (buf){0};
}

void buf_reserve(buf *b, size_t more)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST;

    if (more > SIZE_MAX / 2 - b->len)
        abort();
    if (b->data && b->cap > b->len + more)
        return;
    while (cap <= b->len + more)
        cap *= 2;
    b->data = xrealloc(b->data, cap);
    b->cap = cap;
    b->data[b->len] = '\0';
}

void buf_int(buf *b, int64_t n)
{
    char digits[20]; /* of 2^63 */
    size_t at = sizeof(digits);
    uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (n < 0)
        buf_char(b, '-');
    buf_add(b, digits + at, sizeof(digits) - at);
}

void buf_printf(buf *b, const char *fmt, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    buf_reserve(b, 48);
    n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
    if (n < 0)
        abort();
    if ((size_t)n >= b->cap - b->len) {
        buf_reserve(b, (size_t)n);
        vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
    }
    b->len += (size_t)n;
    va_end(again);
    va_end(ap);
}

void buf_consume(buf *b, size_t n)
{
    if (n >= b->len) {
        buf_truncate(b, 0);
        return;
    }
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

void buf_truncate(buf *b, size_t len)
{
    if (len < b->len) {
        b->len = len;
        b->data[len] = '\0';
    }
}

char *buf_take(buf *b)
{
    char *data = b->data ? b->data : xstrdup("");

    *b = (buf){0};
    return data;
}
