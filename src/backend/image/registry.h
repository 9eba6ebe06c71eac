/* registry.h - a repository at its registry: questions with the client's authority.
 *
 * Credentials go to the registry itself and to a token server of the same site, never over a
 * redirect to another origin, never to a mirror; our certificate goes to the origin it is kept for.
 * Loop thread only, except registry_prepare. */
#ifndef BERTH_IMAGE_REGISTRY_H
#define BERTH_IMAGE_REGISTRY_H

#include "registry_auth.h"
#include <berth/err.h>
#include <berth/fetch.h>
#include <berth/reference.h>
#include <berth/str.h>

typedef struct registry registry;

/* actions: "pull" or "pull,push"; NULL: of no repository; auth: the header X-Registry-Auth, may be
 * NULL; dir: a directory of the caller's that registry_prepare may write to. */
registry *registry_new(const reference *ref, const char *actions, const char *auth,
                       const char *dir);
must_check err *registry_prepare(registry *r); /* worker: libcurl, certs.d */
void registry_free(registry *r);
/* The next place that may have it (mirrors, then the registry, without TLS where it may be
 * insecure); false: there is none. */
bool registry_next(registry *r);
bool registry_at_mirror(const registry *r);

/* ---- one question ---- */
typedef struct registry_ask registry_ask;

typedef struct ask_opts {
    const char *method;
    const char *path;   /* below the repository: "manifests/latest"; NULL: the registry itself */
    const char *accept; /* media types; NULL: any */
    int64_t from;       /* of a blob: where to go on (Range); 0: all */
    size_t keep;        /* the body is kept, more than so many bytes is an error; 0: on_data */
} ask_opts;

typedef struct ask_events {
    void (*on_head)(void *arg, int status);              /* 2xx only; may be NULL */
    bool (*on_data)(void *arg, const char *p, size_t n); /* false: wait for ask_resume */
    /* Last.  What a registry says is "code: message" with the code's words in lower case; its class
     * is ERR_NOT_FOUND for denied and unknown, as dockerd has it.  Owned by the callee. */
    void (*on_end)(void *arg, err *e);
} ask_events;

registry_ask *registry_begin(registry *r, const ask_opts *o, const ask_events *ev, void *arg);
const char *ask_header(const registry_ask *a, const char *name); /* NULL: it is not there */
const buf *ask_body(const registry_ask *a);                      /* what was kept */
/* The registry's own code ("MANIFEST_UNKNOWN"), "" for other failures. */
const char *ask_code(const registry_ask *a);
void ask_resume(registry_ask *a);
void ask_free(registry_ask *a); /* also before its end; NULL is fine */

/* ---- between the files of the client ---- */
typedef struct endpoint {
    char *base;            /* "https://registry-1.docker.io" */
    char *domain;          /* what certs.d calls it */
    char *ca, *cert, *key; /* files of certs.d; NULL: none */
    bool insecure, mirror;
} endpoint;

struct registry {
    reference ref; /* its own */
    char *scope;   /* "repository:library/busybox:pull" */
    arena *arena;
    registry_auth auth;
    endpoint *endpoints;
    size_t n_endpoints, at;
    char *token; /* of the endpoint; NULL: none yet */
    bool basic;  /* it asked for name and password */
    char *dir;
};

/* registry_hosts.c */
void endpoints_of(const reference *ref, endpoint **ret, size_t *ret_n);
must_check err *certificates_find(registry *r); /* worker */
/* How a server is to prove itself, and whether we do, when the endpoint leads to url: a redirect, a
 * token server.  At the endpoint's own origin as certs.d says.  Elsewhere the authorities of the
 * registry still count (whoever holds their keys can be the registry anyway, and one authority for
 * all servers of a site is common), our certificate is not shown, and a peer may only go without
 * proof if it is the same host or is itself named as insecure.  Sets ca_file, cert_file, key_file
 * and insecure of o. */
void endpoint_trust(const registry *r, const char *url, fetch_opts *o);

/* registry_token.c: done on the loop; a token or an error. */
typedef struct token_ask token_ask;
must_check err *token_begin(registry *r, const challenge *c,
                            void (*done)(void *arg, err *e, const char *token), void *arg,
                            token_ask **ret);
void token_free(token_ask *t);
/* "code: message" of {"errors": [...]}, or of the status alone. */
err *registry_error(int status, const buf *body, arena *a, const char **ret_code);

#endif
