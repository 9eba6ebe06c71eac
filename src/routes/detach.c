/* detach.c - the key sequence that detaches a client from a tty.
 *
 * Keys of a sequence that has begun are held back until it completes or breaks; a broken one
 * reaches the process whole.  Pure functions. */
#include "detach.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <ctype.h>
#include <string.h>

/* "ctrl-x" for a letter or one of @ [ \ ] ^ _, or any single character. */
static bool key_parse(const char *text, unsigned char *ret_key)
{
    const char *punctuation = "@[\\]^_";
    const char *at;

    if (strlen(text) == 1) {
        *ret_key = (unsigned char)*text;
        return true;
    }
    if (!str_starts(text, "ctrl-") || strlen(text) != 6)
        return false;
    if (isalpha((unsigned char)text[5])) {
        *ret_key = (unsigned char)(tolower((unsigned char)text[5]) - 'a' + 1);
        return true;
    }
    at = strchr(punctuation, text[5]);
    if (!at)
        return false;
    *ret_key = at == punctuation ? 0 : (unsigned char)(26 + (at - punctuation));
    return true;
}

err *detach_keys_parse(const char *text, detach_keys *ret)
{
    auto_strv items = {0};
    detach_keys d = {0};

    strv_split(&items, str_or(text, "ctrl-p,ctrl-q"), ',');
    if (items.n > DETACH_KEYS_MAX)
        return err_new(ERR_INVALID, "invalid detach keys (%s): too many keys", text);
    for (size_t i = 0; i < items.n; i++)
        if (!key_parse(items.v[i], &d.keys[d.n++]))
            return err_new(ERR_INVALID,
                           "invalid detach keys (%s) provided: Unknown character: '%s'", text,
                           items.v[i]);
    *ret = d;
    return NULL;
}

/* After a broken sequence its held keys go out, but the longest tail that is again a beginning
 * stays. */
static void broken(detach_keys *d, unsigned char key, buf *out)
{
    unsigned char held[DETACH_KEYS_MAX + 1];
    size_t n = d->matched;
    size_t keep;

    memcpy(held, d->keys, n);
    held[n++] = key;
    for (keep = n - 1; keep > 0; keep--)
        if (memcmp(held + n - keep, d->keys, keep) == 0)
            break;
    buf_add(out, held, n - keep);
    d->matched = keep;
}

bool detach_keys_feed(detach_keys *d, const char *p, size_t n, buf *out)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char key = (unsigned char)p[i];

        if (d->n && key == d->keys[d->matched]) {
            if (++d->matched == d->n)
                return true;
        } else if (d->n) {
            broken(d, key, out);
        } else {
            buf_char(out, p[i]);
        }
    }
    return false;
}
