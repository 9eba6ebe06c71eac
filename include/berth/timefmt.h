/* timefmt.h - times as Docker writes and reads them.  All times are nanoseconds since 1970 UTC. */
#ifndef BERTH_TIMEFMT_H
#define BERTH_TIMEFMT_H

#include <berth/err.h>
#include <stddef.h>
#include <stdint.h>

enum { TIME_TEXT = 40 };
#define TIME_ZERO INT64_MIN /* Go's zero time: 0001-01-01T00:00:00Z */

int64_t time_now_ns(void);  /* the wall clock */
int64_t time_mono_ns(void); /* the monotonic clock: for durations and time-outs */
/* RFC3339Nano in UTC, trailing zeros cut: "2026-01-02T15:04:05.25Z". */
void time_rfc3339(int64_t ns, char out[TIME_TEXT]);
/* The log prefix: always nine digits, "2026-01-02T15:04:05.000000000Z". */
void time_rfc3339_fixed(int64_t ns, char out[TIME_TEXT]);
/* RFC3339 with any fraction and zone offset; ERR_INVALID otherwise. */
must_check err *time_parse_rfc3339(const char *s, int64_t *ret_ns);
/* since/until values: unix seconds with up to nine decimals, RFC3339 variants (date only, no zone),
 * or a Go duration ("10m") before now (engine-behaviour 4.3). */
must_check err *time_parse_filter(const char *s, int64_t now_ns, int64_t *ret_ns);
/* Go's time.ParseDuration: "1h30m", "250ms", "-1.5s". */
must_check err *duration_parse(const char *s, int64_t *ret_ns);
/* As Go prints it: "1m30s", "1.5s", "250ms"; not negative. */
enum { DURATION_TEXT = 40 };
void duration_go(int64_t ns, char out[DURATION_TEXT]);
/* go-units HumanDuration: "Less than a second", "About a minute", "3 weeks". */
void duration_human(int64_t ns, char *out, size_t size);

#endif
