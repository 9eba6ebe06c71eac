/* routes.h - the routers' tables, and what their files share. */
#ifndef BERTH_ROUTES_ROUTES_H
#define BERTH_ROUTES_ROUTES_H

#include <berth/container.h>
#include <berth/request.h>
#include <berth/route.h>

void stream_logs(request *r);      /* logs.c */
void attach_container(request *r); /* attach.c */
void start_exec(request *r);       /* attach.c */
void pull_image(request *r);       /* image_pull.c */
void stream_stats(request *r);     /* stats.c */
void stream_events(request *r);    /* events.c */
void tell_disk_usage(request *r);  /* df.c */

/* The container that {id} names; answers 404 itself and returns NULL when there is none. */
container *route_container(request *r);

/* The last message of a stream of messages: what went wrong.  Consumes e. */
void route_stream_error(stream *s, err *e);

/* h and w of a resize: ERR_INVALID with dockerd's text when one is no number. */
must_check err *route_tty_size(request *r, unsigned *ret_rows, unsigned *ret_cols);

extern const route archive_routes[], distribution_routes[], container_routes[],
    container_change_routes[], exec_routes[], image_routes[], network_routes[], system_routes[],
    debug_routes[], volume_routes[];

#endif
