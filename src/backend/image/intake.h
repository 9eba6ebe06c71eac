/* intake.h - bytes of a client's archive on their way to the unpacking helper. */
#ifndef BERTH_IMAGE_INTAKE_H
#define BERTH_IMAGE_INTAKE_H

#include "private.h"
#include "unpack.h"
#include <berth/flow.h>
#include <berth/sock.h>

/* The pushing half, shared by import and load. */
struct image_intake {
    flow *flow; /* the import's or the load's; NULL when it is over */
    intake_events ev;
    void *arg;
    char *dir;   /* staging, below data-root/tmp */
    sock *feed;  /* to the helper's stdin; NULL before and after */
    buf waiting; /* from before the helper was there */
    bool stalled, ended, cancelled;
    unpack *unpack;
    flow *step;   /* the row that awaits the helper */
    err *refused; /* why there is no feed */
    char id[72];
    void *owner; /* the flow's state */
};

image_intake *intake_new(const intake_events *ev, void *arg);
/* A CALL row: unpack what is pushed in into sub-directory name of the staging directory. */
void intake_unpack(image_intake *in, const char *name, apply_mode mode, flow *f);
void intake_over(image_intake *in, err *e); /* the flow's done */
void intake_drop(image_intake *in); /* without a word: of an intake that has no flow of its own */
must_check err *intake_stage(image_intake *in, const char *name); /* worker: makes the directory */
must_check err *intake_unstage(image_intake *in);                 /* worker */

extern const flow_def commit_flow, look_flow, import_flow, load_flow, load_layer_flow;

#endif
