/* runtime_words.h - what an OCI runtime said when it failed, in dockerd's words. */
#ifndef RUNTIME_RUNTIME_WORDS_H
#define RUNTIME_RUNTIME_WORDS_H

#include <berth/err.h>
#include <stdbool.h>

/* words: the runtime's log (JSON lines) or its stderr; runtime: its path or name. */
must_check err *runtime_words_error(const char *words, const char *runtime, bool is_exec);

#endif
