/* gate.h - what must hold of a request's bytes beyond what llhttp checks.
 *
 * The gate looks at every byte before llhttp does: one way to write each thing, so that no proxy,
 * no client and no parser behind us can read a request in two ways. */
#ifndef BERTH_HTTP_GATE_H
#define BERTH_HTTP_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- between two requests ---- */
/* One blank line behind a request is skipped: *seen is 0 there, and BLANK_OVER where none may come.
 * 0: all of p was skipped, 1: a head begins at *ret_used, 400: something else. */
enum { BLANK_OVER = 2 };
int blank_feed(uint8_t *seen, const char *p, size_t n, size_t *ret_used);

/* ---- the head, byte by byte ---- */
typedef struct head_scan {
    size_t seen;  /* bytes of this head so far */
    uint8_t ends; /* how much of CR LF CR LF was just read */
} head_scan;

/* Reads on over p; *ret_used of it belong to the head.  0: more is needed, 1: the head is complete,
 * else the status to refuse with. */
int head_scan_feed(head_scan *h, const char *p, size_t n, size_t *ret_used);

/* ---- the complete head ---- */
typedef struct head_field {
    uint32_t name, name_len, value, value_len; /* offsets into the head */
} head_field;

typedef struct http_head {
    const char *text;
    const char *method, *uri;
    uint32_t method_len, uri_len;
    bool http_10;
    bool keep_alive, upgrade, chunked, has_length, expects_continue;
    uint64_t length;
    head_field *fields; /* grown with realloc, at most HTTP_HEADERS_MAX */
    size_t n_fields, room;
} http_head;

/* Splits and checks text[0..n), which ends in an empty line.  0, or the status to refuse with.  h
 * begins zeroed; its fields are to be freed by the caller in any case. */
int head_check(http_head *h, const char *text, size_t n);
const char *head_value(const http_head *h, const char *name,
                       size_t *ret_len); /* first of that name, or NULL */

/* ---- chunked bodies ---- */
typedef struct chunk_gate {
    uint8_t state;
    uint8_t digits;
    uint64_t left; /* of the chunk's data */
    uint32_t line, extensions, trailer;
    char name[32]; /* of the trailer field being read */
    uint8_t name_len;
    bool last;
} chunk_gate;

/* 0: all of p is fine, the body goes on; 1: the body ended with byte *ret_used; else the status. */
int chunk_gate_feed(chunk_gate *g, const char *p, size_t n, size_t *ret_used);

#endif
