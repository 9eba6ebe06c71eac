/* caps.h - capabilities by name, and which of them a container gets. */
#ifndef BERTH_RUNTIME_CAPS_H
#define BERTH_RUNTIME_CAPS_H

#include <berth/api/config.h>
#include <berth/err.h>
#include <berth/str.h>
#include <stdint.h>

typedef uint64_t cap_set; /* bit n is capability n */

void caps_init(void); /* reads what the daemon itself may give */
cap_set caps_of_daemon(void);
const char *cap_name(unsigned n);                  /* "CAP_CHOWN"; NULL past the last */
bool cap_parse(const char *text, unsigned *ret_n); /* with or without CAP_, any case */
/* dockerd's default, CapAdd, CapDrop, Privileged.  What the daemon lacks is left out, with a
 * warning when warnings is given. */
must_check err *caps_for(const host_config *h, bool privileged, strv *warnings, cap_set *ret_caps);

#endif
