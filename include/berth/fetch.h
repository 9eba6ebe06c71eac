/* fetch.h - HTTP requests to other servers, by libcurl on the loop.
 *
 * Plain and TLS (1.2 and later, the peer's name and chain verified).  Redirects are not followed:
 * whoever asks decides where its credentials may go.  Loop thread only, except fetch_load. */
#ifndef BERTH_FETCH_H
#define BERTH_FETCH_H

#include <berth/err.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fetch fetch;

typedef struct fetch_opts {
    const char *method;               /* "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" */
    const char *url;                  /* http:// or https:// */
    const strv *headers;              /* "Name: value" lines; may be NULL */
    const char *user, *password;      /* basic authentication; NULL: none */
    const char *ca_file;              /* authorities beside the system's; NULL: none */
    const char *cert_file, *key_file; /* ours; NULL: none */
    bool insecure;                    /* the peer's certificate is not verified */
    const char *body;                 /* copied; NULL: none */
    size_t body_n;
    /* A body that is pulled: fill p with up to n bytes.  0 is the end, FETCH_LATER: fetch_resume
     * will be called.  body_n is its length (0: chunked). */
    size_t (*pull)(void *arg, char *p, size_t n);
    uint64_t total_ms; /* for all of it; 0: as long as bytes come */
} fetch_opts;
#define FETCH_LATER SIZE_MAX

/* None of them is called from within fetch_begin, and none after fetch_free. */
typedef struct fetch_events {
    void (*on_head)(void *arg, int status);              /* of the final answer */
    bool (*on_data)(void *arg, const char *p, size_t n); /* false: wait for fetch_resume (p was
                                                            taken) */
    /* Last.  ERR_UNAVAILABLE: no connection, a connection that broke, no byte for FETCH_STALL_S;
     * the text is the user's.  Owned by the callee. */
    void (*on_end)(void *arg, err *e);
} fetch_events;

enum {
    FETCH_CONNECT_S = 15,
    FETCH_STALL_S = 30, /* less than FETCH_SLOWEST bytes per second for so long is a dead peer */
    FETCH_SLOWEST = 128,
};

/* Loads libcurl, once; a worker's work: some ten milliseconds.  Nothing else may be called before.
 */
must_check err *fetch_load(void);
/* What requests go through, by scheme; "" none, NULL as the environment says.  Copied. */
void fetch_set_proxies(const char *http, const char *https, const char *none_for);
fetch *fetch_begin(const fetch_opts *opts, const fetch_events *ev, void *arg);
/* A header of the answer, by its name in any case; NULL when there is none. */
const char *fetch_header(const fetch *f, const char *name);
void fetch_resume(fetch *f); /* more data is wanted, or more of the body is there */
/* Ends it at once; also after on_end and from within a callback; NULL is fine. */
void fetch_free(fetch *f);

typedef struct fetch_url {
    char *text, *scheme, *host, *port; /* the whole; its parts, the port always there */
} fetch_url;
/* Relative to base, which may be NULL.  ERR_INVALID for all that is not http or https. */
must_check err *fetch_url_parse(const char *base, const char *text, fetch_url *ret);
void fetch_url_done(fetch_url *u);
/* The same host, or hosts below one registrable domain (by the public suffix list). */
bool fetch_same_site(const char *a, const char *b);

void fetch_done(void); /* at the daemon's end */

#endif
