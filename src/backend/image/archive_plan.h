/* archive_plan.h - what an unpacked `docker save` or OCI layout says it holds. */
#ifndef BERTH_IMAGE_ARCHIVE_PLAN_H
#define BERTH_IMAGE_ARCHIVE_PLAN_H

#include "private.h"

typedef struct archive_layer { /* one run of the helper */
    char *path;                /* inside the staging directory */
    staged_layer *to;
    bool repeated; /* an earlier one is the same layer */
} archive_layer;

typedef struct archive_plan {
    staged_image *images;
    size_t n_images;
    archive_layer *layers; /* of all images, one after the other */
    size_t n_layers;
} archive_plan;

/* Worker: reads manifest.json, else index.json, below dir. */
must_check err *archive_plan_read(const char *dir, archive_plan *ret);
void archive_plan_done(archive_plan *p);
/* A regular file below dir, whatever links the archive holds; -1 with errno. */
int archive_open(const char *dir, const char *path);

#endif
