/* pull.h - a pull under way, for its files only. */
#ifndef BERTH_IMAGE_PULL_H
#define BERTH_IMAGE_PULL_H

#include "intake.h"
#include "manifest.h"
#include "registry.h"

typedef struct pull pull;

struct image_pull { /* one client's share */
    pull *pull;
    pull_events ev;
    void *arg;
    image_pull *prev, *next;
};

typedef struct pull_layer { /* of the image, lowest first */
    pull *pull;
    const descriptor *what;
    char id[13]; /* as the client's lines name it */
    bool wanted;
    int64_t got, told;  /* bytes; told: the last ones that clients know */
    const char *status; /* what late clients are told; NULL: nothing yet */
    size_t index;
} pull_layer;

struct pull {
    char *key; /* what makes two pulls the same */
    image_pull *clients;
    flow *flow;
    reference ref;  /* with a tag or a digest */
    char *familiar; /* its name; of docker.io/library/busybox:latest "busybox:latest" */
    arena *arena;
    platform platform;
    bool platform_asked;
    char *dir; /* staging */
    registry *registry;
    registry_ask *ask; /* of the manifest, then of the configuration */
    flow *step;        /* the row that awaits it */
    unsigned depth;    /* of indexes */
    char digest[72];   /* of what the name stands for */
    char wanted[72];   /* of what is asked for now; "" when it has no digest */
    manifest manifest;
    image_config config;
    staged_image staged;
    pull_layer *layers;
    size_t next;
    layer **held;
    size_t n_held;
    bool listed;               /* others may join */
    bool present, was_current; /* the image is here; and has the name */
    UT_hash_handle hh;
};

extern const flow_def pull_flow, pull_layer_flow;

/* To every client: {"status":...,"id":...}; id NULL: none. */
void pull_say(pull *p, const char *status, const char *id);
void pull_layer_say(pull_layer *l, const char *status);
/* Downloading, with its numbers; not more often than a client can look. */
void pull_layer_progress(pull_layer *l);
/* The state of a pull_layer_flow; a layer is given to one flow. */
void *pull_layer_begin(pull_layer *l);

#endif
