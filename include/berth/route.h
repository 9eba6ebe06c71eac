/* route.h - the table of a router: method, pattern, handler, flags.
 *
 * "{name}" takes one path segment, "{name...}" one or more (image names hold '/') before a fixed
 * suffix or the end.  Every route answers bare and under /vX.YY. */
#ifndef BERTH_ROUTE_H
#define BERTH_ROUTE_H

#include <berth/request.h>

enum {
    BODY_STREAM = 1 << 0, /* the handler reads the body as a stream; not limited in size */
    /* SINCE(minor), from json.h: older clients get 400 "requires minimum API version" */
};

typedef struct route {
    http_method method;
    const char *pattern;
    void (*handler)(request *r);
    uint32_t flags;
} route; /* a table ends with a NULL pattern */

#endif
