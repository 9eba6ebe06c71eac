/* system.h - what the daemon says of itself and of its host.  Answered from memory.  Loop thread
 * only, except system_init. */
#ifndef BERTH_SYSTEM_H
#define BERTH_SYSTEM_H

#include <berth/api/system.h>
#include <berth/arena.h>
#include <berth/buf.h>
#include <berth/err.h>
#include <berth/str.h>

/* Berth speaks as this Docker Engine does: clients compare it as a version number.  Berth's own
 * version is in Components and Platform. */
#define ENGINE_VERSION "28.5.2"
enum { API_MAX = 51, API_MIN = 24 };

typedef struct system_opts {                            /* strings stay the caller's */
    const char *data_root, *logging_driver, *init_path; /* init_path: "" when there is none */
    const strv *labels;
    bool debug, live_restore;
} system_opts;

/* Reads the host's facts and the engine's id (made on the first start); blocks; before the loop
 * runs. */
must_check err *system_init(const system_opts *opts);
/* labels live until the next reload. */
void system_reload(const strv *labels, bool debug, bool live_restore);
bool system_is_debug(void);
void system_done(void);
const char *system_id(void);
const char *system_hostname(void);
void system_version(arena *a, version_answer *ret);
void system_info(arena *a, info_answer *ret);
/* The same as lines of JSON for API 1.api_version, ready to send: kept as text (answers.c), made
 * anew only when something in them changed. */
void system_version_text(int api_version, buf *out);
void system_info_text(int api_version, buf *out);
void system_texts_drop(void); /* all will be made anew */

#endif
