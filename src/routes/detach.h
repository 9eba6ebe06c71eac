/* detach.h - the key sequence that detaches a client from a tty. */
#ifndef BERTH_ROUTES_DETACH_H
#define BERTH_ROUTES_DETACH_H

#include <berth/buf.h>
#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>

enum { DETACH_KEYS_MAX = 32 };

typedef struct detach_keys {
    unsigned char keys[DETACH_KEYS_MAX];
    size_t n;       /* 0: nothing detaches */
    size_t matched; /* of them typed so far, and held back */
} detach_keys;

/* "ctrl-p,ctrl-q", "a,b", "ctrl-@"; "" gives the default ctrl-p,ctrl-q; ERR_INVALID otherwise. */
must_check err *detach_keys_parse(const char *text, detach_keys *ret);
/* Append to out what of p reaches the process; true: the sequence is complete, nothing after it
 * counts. */
bool detach_keys_feed(detach_keys *d, const char *p, size_t n, buf *out);

#endif
