/* json_scan.h - the pass over JSON text before cJSON sees it, and what versions say of a field. */
#ifndef BERTH_BASE_JSON_SCAN_H
#define BERTH_BASE_JSON_SCAN_H

#include <berth/json.h>
#include <string.h>

/* In front of the digits of an integer too long for a double.  A client that writes this itself has
 * written a number in an odd way, no more. */
#define JSON_LONG_MARK "\001i:"

/* ERR_INVALID for nesting beyond JSON_MAX_DEPTH, a NUL (also as \u0000) and bad UTF-8.  marked gets
 * a copy of the text with long integers marked, and stays empty when there are none. */
must_check err *json_scan(const char *text, size_t n, buf *marked);
void json_unmark_longs(char *text); /* in compact JSON: "\u0001i:123" becomes 123 again */

/* How many elements a list of n has room for: the smallest power of two that holds them, and one
 * more that stays zero, so that a list of strings ends with NULL. */
static inline size_t json_room(size_t n)
{
    size_t room = 1;

    while (room < n)
        room *= 2;
    return room + 1;
}

static inline bool json_is_long(const char *s)
{
    return strncmp(s, JSON_LONG_MARK, sizeof(JSON_LONG_MARK) - 1) == 0;
}

static inline bool json_field_applies(const json_field *f, int api_version)
{
    int since = (int)(f->flags >> 8 & 0xFF), until = (int)(f->flags >> 16 & 0xFF);

    if (api_version == JSON_ANY_VERSION)
        return true;
    return api_version >= since && (!until || api_version <= until);
}

#endif
