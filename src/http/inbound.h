/* inbound.h - one message on its way in: a head, then its body.  No socket, no connection in sight.
 *
 * Every byte passes the gate before llhttp sees it.  The same bytes give the same result however
 * they are cut. */
#ifndef BERTH_HTTP_INBOUND_H
#define BERTH_HTTP_INBOUND_H

#include "gate.h"
#include <berth/buf.h>
#include <berth/request.h>
#include <llhttp.h>

typedef struct inbound {
    llhttp_t parser;
    head_scan scan;
    chunk_gate chunks;
    buf head;      /* until it is taken */
    uint64_t left; /* of a sized body */
    bool chunked;
    bool done; /* the message is complete */
    void (*on_body)(void *arg, const char *p, size_t n);
    void *arg;
} inbound;

const char *method_name(http_method m);

void inbound_init(inbound *in, void (*on_body)(void *arg, const char *p, size_t n), void *arg);
void inbound_done(inbound *in);

/* As head_scan_feed: 0 more is needed, 1 the head is complete, else the status to refuse with. */
int inbound_head_feed(inbound *in, const char *p, size_t n, size_t *ret_used);

/* The complete head, understood: 0 or the status to refuse with.  *ret_text and ret->fields are the
 * caller's in any case.  done is set when no body follows. */
int inbound_head_take(inbound *in, char **ret_text, http_head *ret, http_method *ret_method);

/* Bytes behind the head, handed to on_body decoded: 0 the body goes on, 1 it ended with byte
 * *ret_used, else the status.  on_body must not call inbound_done. */
int inbound_body_feed(inbound *in, const char *p, size_t n, size_t *ret_used);

#endif
