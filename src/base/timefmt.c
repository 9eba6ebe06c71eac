/* timefmt.c - times as Docker writes and reads them.  Any thread. */
#include <berth/str.h>
#include <berth/timefmt.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL

static int64_t clock_ns(clockid_t which)
{
    struct timespec ts;

    clock_gettime(which, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t time_now_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t time_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The fraction in nine digits goes behind the seconds; its trailing zeros are cut unless fixed. */
static void format(int64_t ns, bool fixed, char out[TIME_TEXT])
{
    time_t seconds;
    int64_t fraction;
    struct tm tm;
    size_t n;

    if (ns == TIME_ZERO) {
        snprintf(out, TIME_TEXT, "0001-01-01T00:00:00%sZ", fixed ? ".000000000" : "");
        return;
    }
    seconds = (time_t)floor_div(ns, NS_PER_S);
    fraction = ns - seconds * NS_PER_S;
    gmtime_r(&seconds, &tm);
    n = strftime(out, TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    if (fraction || fixed) {
        n += (size_t)snprintf(out + n, TIME_TEXT - n, ".%09lld", (long long)fraction);
        while (!fixed && out[n - 1] == '0')
            n--;
    }
    out[n] = 'Z';
    out[n + 1] = '\0';
}

void time_rfc3339(int64_t ns, char out[TIME_TEXT])
{
    format(ns, false, out);
}

void time_rfc3339_fixed(int64_t ns, char out[TIME_TEXT])
{
    format(ns, true, out);
}

/* Up to nine digits behind the dot; more are cut. */
static const char *fraction_parse(const char *s, int64_t *ret_ns)
{
    int64_t unit = NS_PER_S / 10;

    *ret_ns = 0;
    for (; isdigit((unsigned char)*s); s++, unit /= 10)
        *ret_ns += (*s - '0') * unit;
    return s;
}

/* "", "Z", "+01:30"; "" only where a zone may be missing. */
static bool zone_parse(const char *s, bool optional, int64_t *ret_offset_s)
{
    unsigned h, m;
    int used = 0;

    *ret_offset_s = 0;
    if ((*s == 'Z' || *s == 'z') && !s[1])
        return true;
    if (!*s)
        return optional;
    if ((*s != '+' && *s != '-') || sscanf(s + 1, "%2u:%2u%n", &h, &m, &used) != 2 || used != 5 ||
        s[6] || h > 23 || m > 59)
        return false;
    *ret_offset_s = (int64_t)(h * 3600 + m * 60) * (*s == '-' ? -1 : 1);
    return true;
}

static bool date_is_real(const struct tm *tm)
{
    struct tm check = *tm;

    timegm(&check); /* makes 31 February a day of March */
    return check.tm_mday == tm->tm_mday && check.tm_mon == tm->tm_mon &&
           check.tm_hour == tm->tm_hour && check.tm_min == tm->tm_min;
}

static bool parse(const char *s, bool loose, int64_t *ret_ns)
{
    static const char *const loose_formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
                                                "%Y-%m-%dT%H", "%Y-%m-%d"};
    size_t formats = loose ? 4 : 1;

    for (size_t i = 0; i < formats; i++) {
        struct tm tm = {0};
        const char *end = strptime(s, loose_formats[i], &tm);
        int64_t fraction = 0, offset = 0;

        if (!end)
            continue;
        if (i == 0 && *end == '.')
            end = fraction_parse(end + 1, &fraction);
        if (!zone_parse(end, loose, &offset) || !date_is_real(&tm) || tm.tm_year > 7999 - 1900)
            continue;
        if (tm.tm_year <= 1677 - 1900 ||
            tm.tm_year >= 2262 - 1900) { /* past what 64 bits of ns hold */
            *ret_ns = tm.tm_year <= 1677 - 1900 ? TIME_ZERO : INT64_MAX;
            return true;
        }
        *ret_ns = (timegm(&tm) - offset) * NS_PER_S + fraction;
        return true;
    }
    return false;
}

err *time_parse_rfc3339(const char *s, int64_t *ret_ns)
{
    if (!parse(s, false, ret_ns))
        return err_new(ERR_INVALID, "parsing time \"%s\": not an RFC3339 time", s);
    return NULL;
}

static bool seconds_parse(const char *s, int64_t *ret_ns)
{
    int64_t fraction = 0;
    size_t digits = strspn(*s == '-' ? s + 1 : s, "0123456789") + (*s == '-');
    char whole[24];
    int64_t n;

    if (digits >= sizeof(whole) || (s[digits] && s[digits] != '.'))
        return false;
    memcpy(whole, s, digits);
    whole[digits] = '\0';
    if (!str_to_int64(whole, &n) || n > INT64_MAX / NS_PER_S || n < INT64_MIN / NS_PER_S + 1)
        return false;
    if (s[digits] == '.' && *fraction_parse(s + digits + 1, &fraction))
        return false;
    *ret_ns = n * NS_PER_S + (*s == '-' ? -fraction : fraction);
    return true;
}

err *time_parse_filter(const char *s, int64_t now_ns, int64_t *ret_ns)
{
    int64_t ago;
    err *e;

    if (seconds_parse(s, ret_ns) || parse(s, true, ret_ns))
        return NULL;
    e = duration_parse(s, &ago);
    err_free(e);
    if (e)
        return err_new(ERR_INVALID, "failed to parse value as time or duration: %s", s);
    *ret_ns = now_ns - ago;
    return NULL;
}

static const char *unit_parse(const char *s, int64_t *ret_unit_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},       {"us", 1000},    {"\u00b5s", 1000},    {"\u03bcs", 1000},
                 {"ms", 1000000}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t n = strlen(units[i].name);

        if (strncmp(s, units[i].name, n) == 0) {
            *ret_unit_ns = units[i].ns;
            return s + n;
        }
    }
    return NULL;
}

err *duration_parse(const char *s, int64_t *ret_ns)
{
    const char *p = s + (*s == '-' || *s == '+');
    double total = 0;

    if (str_eq(p, "0")) {
        *ret_ns = 0;
        return NULL;
    }
    while (p && isdigit((unsigned char)*p)) {
        double n = 0, scale = 1;
        int64_t unit = 0;

        for (; isdigit((unsigned char)*p); p++)
            n = n * 10 + (*p - '0');
        for (p += *p == '.'; isdigit((unsigned char)*p); p++)
            n += (*p - '0') * (scale /= 10);
        p = unit_parse(p, &unit);
        total += n * (double)unit;
    }
    if (!p || *p || p == s || !isalpha((unsigned char)p[-1]) || total > 9.2e18)
        return err_new(ERR_INVALID, "time: invalid duration \"%s\"", s);
    *ret_ns = (int64_t)(total + 0.5) * (*s == '-' ? -1 : 1);
    return NULL;
}

void duration_go(int64_t ns, char out[DURATION_TEXT])
{
    int64_t whole = ns / 1000000000;
    size_t at = 0;

    if (ns < 1000000000) {
        const char *unit = ns >= 1000000 ? "ms" : ns >= 1000 ? "\u00b5s" : "ns";
        int64_t per = ns >= 1000000 ? 1000000 : ns >= 1000 ? 1000 : 1;

        snprintf(out, DURATION_TEXT, ns ? "%.9g%s" : "0s", (double)ns / (double)per, unit);
        return;
    }
    if (whole >= 3600)
        at += (size_t)snprintf(out + at, DURATION_TEXT - at, "%lldh", (long long)(whole / 3600));
    if (whole >= 60)
        at += (size_t)snprintf(out + at, DURATION_TEXT - at, "%lldm", (long long)(whole / 60 % 60));
    snprintf(out + at, DURATION_TEXT - at, "%.11gs",
             (double)(whole % 60) + (double)(ns % 1000000000) / 1e9);
}

void duration_human(int64_t ns, char *out, size_t size)
{
    int64_t s = ns / NS_PER_S, m = s / 60,
            h = (s + 1800) / 3600; /* hours are rounded, as go-units does */

    if (s < 1)
        snprintf(out, size, "Less than a second");
    else if (s == 1)
        snprintf(out, size, "1 second");
    else if (s < 60)
        snprintf(out, size, "%d seconds", (int)s);
    else if (m == 1)
        snprintf(out, size, "About a minute");
    else if (m < 60)
        snprintf(out, size, "%d minutes", (int)m);
    else if (h == 1)
        snprintf(out, size, "About an hour");
    else if (h < 48)
        snprintf(out, size, "%d hours", (int)h);
    else if (h < 24 * 7 * 2)
        snprintf(out, size, "%d days", (int)(h / 24));
    else if (h < 24 * 30 * 2)
        snprintf(out, size, "%d weeks", (int)(h / 24 / 7));
    else if (h < 24 * 365 * 2)
        snprintf(out, size, "%d months", (int)(h / 24 / 30));
    else
        snprintf(out, size, "%lld years", (long long)(h / 24 / 365));
}
