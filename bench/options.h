/* options.h - what the command line asked for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "scenario.h"
#include <berth/err.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct options {
    const scenario *scenario;
    const char *host; /* as -H takes it */
    const char *ca, *cert, *key;
    const char *api_version; /* "1.41"; NULL: no prefix */
    const char *image, *network;
    const char *log;  /* log driver of the containers; NULL: the engine's own */
    const char *file; /* a tar to load */
    uint64_t size_mb; /* of what is written, read or moved; 10^6 bytes */
    uint64_t publish; /* ports of each container */
    const char *json; /* file to write; NULL: none */
    uint64_t connections, pipeline;
    uint64_t count;    /* operations after the warm-up; 0: until the duration is over */
    double duration_s; /* 0: until the count is reached */
    double warmup_s, hold_s, timeout_s;
    double rate;      /* operations per second of all connections; 0: as fast as answered */
    uint64_t prepare; /* containers that are there before */
    uint64_t subscribers;
    uint64_t pid;         /* of the daemon; 0: unknown */
    strv helpers;         /* names of processes that serve one container each */
    bool quiet;           /* no progress line */
    char *const *command; /* after --; NULL: none */
} options;

/* ERR_INVALID with a sentence for the user.  --help and --version print and exit. */
must_check err *options_parse(int argc, char **argv, options *ret);
void options_done(options *o);

#endif
