/* json_scan.c - the pass over JSON text before cJSON sees it.  Any thread. */
#include "json_scan.h"
#include <berth/str.h>
#include <ctype.h>

#define MARK_IN_TEXT "\"\\u0001i:"
enum { DOUBLE_DIGITS = 15 };

typedef struct scan {
    const char *text;
    size_t n, i;
    size_t copied; /* up to here is in marked */
    buf *marked;
} scan;

static err *scan_escape(scan *s)
{
    if (s->i + 5 <= s->n && memcmp(s->text + s->i, "u0000", 5) == 0)
        return err_new(ERR_INVALID, "invalid JSON: a string holds a NUL character");
    s->i++;
    return NULL;
}

static err *scan_string(scan *s)
{
    for (s->i++; s->i < s->n && s->text[s->i] != '"';) {
        if (s->text[s->i++] == '\\')
            TRY(scan_escape(s));
    }
    s->i++;
    return NULL;
}

/* Copies a long whole number as a marked string; fractions and exponents are left to cJSON. */
static void scan_number(scan *s)
{
    size_t from = s->i, digits;

    if (s->text[s->i] == '-')
        s->i++;
    for (digits = 0; s->i < s->n && isdigit((unsigned char)s->text[s->i]); digits++)
        s->i++;
    if (digits > DOUBLE_DIGITS && (s->i == s->n || !strchr(".eE", s->text[s->i]))) {
        buf_add(s->marked, s->text + s->copied, from - s->copied);
        buf_str(s->marked, MARK_IN_TEXT);
        buf_add(s->marked, s->text + from, s->i - from);
        buf_char(s->marked, '"');
        s->copied = s->i;
        return;
    }
    while (s->i < s->n && strchr("+-.eE0123456789", s->text[s->i]) && s->text[s->i])
        s->i++;
}

err *json_scan(const char *text, size_t n, buf *marked)
{
    scan s = {.text = text, .n = n, .marked = marked};
    size_t depth = 0;

    if (memchr(text, '\0', n))
        return err_new(ERR_INVALID, "invalid JSON: it holds a NUL character");
    if (!str_is_utf8(text, n))
        return err_new(ERR_INVALID, "invalid JSON: it is not UTF-8");
    while (s.i < n) {
        char c = text[s.i];

        if (c == '"') {
            TRY(scan_string(&s));
        } else if (c == '-' || isdigit((unsigned char)c)) {
            scan_number(&s);
        } else {
            if ((c == '{' || c == '[') && ++depth > JSON_MAX_DEPTH)
                return err_new(ERR_INVALID, "invalid JSON: nested deeper than %d", JSON_MAX_DEPTH);
            if ((c == '}' || c == ']') && depth)
                depth--;
            s.i++;
        }
    }
    if (s.copied)
        buf_add(marked, text + s.copied, n - s.copied);
    return NULL;
}

void json_unmark_longs(char *text)
{
    char *to = text, *from = text;

    while (*from) {
        if (strncmp(from, MARK_IN_TEXT, sizeof(MARK_IN_TEXT) - 1) == 0) {
            for (from += sizeof(MARK_IN_TEXT) - 1; *from && *from != '"';)
                *to++ = *from++;
            from += *from == '"';
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}
