/* seccomp.h - from the packaged profile (the format docker and podman share) to the OCI runtime's.
 */
#ifndef BERTH_RUNTIME_SECCOMP_H
#define BERTH_RUNTIME_SECCOMP_H

#include "caps.h"
#include <berth/buf.h>
#include <berth/err.h>

/* Reads the profile at path; ERR_NOT_FOUND when there is none.  Blocks; once, at start. */
must_check err *seccomp_init(const char *path);
void seccomp_done(void);
bool seccomp_is_there(void);
bool seccomp_is_default(cap_set caps); /* the set whose profile is kept ready */
/* Appends the linux.seccomp object of the built-in profile for these capabilities. */
must_check err *seccomp_builtin(cap_set caps, buf *out);
/* The same for a profile that came with the request. */
must_check err *seccomp_custom(const char *profile, cap_set caps, buf *out);

#endif
