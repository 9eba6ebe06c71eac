/* client.h - one connection that carries questions and their answers, in order, and is opened again
 * when it is lost.
 *
 * Every question is answered exactly once, from the loop: with the server's status, or with status
 * 0 and the reason.  Loop thread only. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "endpoint.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

typedef struct client client;

typedef struct answer {
    int status;        /* 0: none came */
    const char *error; /* why; NULL when an answer came */
    const char *body;  /* "" unless the question keeps it */
    size_t length;     /* of the body, kept or not */
} answer;

/* A body too big to be copied: the caller keeps it until the answer. */
typedef struct upload {
    const char *bytes; /* NULL: none */
    size_t n;
    bool
        hijacked; /* sent after the answer's head, and then the write side is closed (plain only) */
} upload;

typedef struct question {
    const char *bytes; /* the whole request; copied */
    size_t n;
    upload up;                           /* follows; nothing else is asked meanwhile */
    bool keep_body;                      /* up to CLIENT_BODY_MAX bytes */
    bool endless;                        /* never times out */
    void (*head)(void *arg, int status); /* NULL: nobody asks */
    void (*piece)(void *arg, const char *p, size_t n); /* of the body; NULL: nobody asks */
    void (*done)(void *arg, const answer *a);
    void *arg;
} question;

enum { CLIENT_BODY_MAX = 16 << 20 };

client *client_new(uv_loop_t *loop, const endpoint *to);
void client_free(client *c); /* unanswered questions are forgotten; also from within done */
void client_ask(client *c, const question *q);
/* Answer everything with this reason when the oldest question has waited longer. */
void client_expire(client *c, int64_t now_ns, int64_t timeout_ns);
void client_drop(client *c, const char *reason); /* answers everything with it */
bool client_is_connected(const client *c);

#endif
