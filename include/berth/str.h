/* str.h - small helpers on strings, and a vector of them. */
#ifndef BERTH_STR_H
#define BERTH_STR_H

#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Owned strings; v is NULL-terminated once anything was added, so it serves as an argv. */
typedef struct strv {
    char **v;
    size_t n;
} strv;

void strv_push(strv *s, const char *item); /* copies */
void strv_pushf(strv *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_add(strv *s, ...) __attribute__((sentinel)); /* several, ended by NULL */
void strv_pop(strv *s);                                /* drops the last one */
bool strv_has(const strv *s, const char *item);
void strv_take_out(strv *s, const char *item); /* every one that equals it */
void strv_done(strv *s);
/* Split at every sep; empty items are kept; "" gives no item. */
void strv_split(strv *s, const char *text, char sep);
#define auto_strv __attribute__((cleanup(strv_done))) strv

static inline bool str_eq(const char *a, const char *b) /* NULL equals only NULL */
{
    return a && b ? __builtin_strcmp(a, b) == 0 : a == b;
}
static inline bool str_empty(const char *s)
{
    return !s || !*s;
}
static inline const char *str_or(const char *s, const char *otherwise) /* for NULL and "" */
{
    return str_empty(s) ? otherwise : s;
}
bool str_eq_nocase(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* Bytes of the well-formed UTF-8 sequence at s, 0 when there is none. */
size_t str_utf8_length(const char *s, size_t n);
bool str_is_utf8(const char *s, size_t n);

/* Whole-string numbers: no blanks, no sign where unsigned, no overflow. */
bool str_to_int64(const char *s, int64_t *ret_n);
bool str_to_uint64(const char *s, uint64_t *ret_n);

/* Sizes as docker writes them: "64m", "1g", "512", "1.5kb" (1024-based); false when not one. */
bool str_to_bytes(const char *s, int64_t *ret_n);

/* Lower-case hex of n bytes into out[2n+1]. */
void str_hex(const void *p, size_t n, char *out);
/* 64 random lower-case hex digits whose first twelve are not all decimal; out[65]. */
void str_random_id(char out[65]);

#endif
