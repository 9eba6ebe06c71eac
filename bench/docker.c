/* docker.c - the few calls of the API that prepare and clean up. */
#include "docker.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

/* Ports from 1 on, each to a port that the engine chooses; a log that keeps all of what is
 * measured. */
static void add_host_config(const bench *b, cJSON *to)
{
    cJSON *host = cJSON_AddObjectToObject(to, "HostConfig"), *ports, *exposed, *log;

    cJSON_AddStringToObject(host, "NetworkMode", b->opt->network);
    ports = b->opt->publish ? cJSON_AddObjectToObject(host, "PortBindings") : NULL;
    exposed = b->opt->publish ? cJSON_AddObjectToObject(to, "ExposedPorts") : NULL;
    for (uint64_t i = 1; i <= b->opt->publish; i++) {
        auto_free char *port = xasprintf("%" PRIu64 "/tcp", i);

        cJSON_AddObjectToObject(exposed, port);
        cJSON_AddItemToArray(cJSON_AddArrayToObject(ports, port), cJSON_CreateObject());
    }
    if (!b->opt->log)
        return;
    log = cJSON_AddObjectToObject(host, "LogConfig");
    cJSON_AddStringToObject(log, "Type", b->opt->log);
    if (str_eq(b->opt->log, "json-file"))
        cJSON_AddStringToObject(cJSON_AddObjectToObject(log, "Config"), "max-size", "100g");
}

char *docker_create_body_with(const bench *b, const char *const *cmd, const char *more)
{
    cJSON *j = cJSON_Parse(more), *list, *labels;
    char *text;

    cJSON_AddStringToObject(j, "Image", b->opt->image);
    list = cJSON_AddArrayToObject(j, "Cmd");
    for (; *cmd; cmd++)
        cJSON_AddItemToArray(list, cJSON_CreateString(*cmd));
    labels = cJSON_AddObjectToObject(j, "Labels");
    cJSON_AddStringToObject(labels, "berth-bench", "1");
    cJSON_AddStringToObject(labels, "berth-bench-run", b->run_id);
    add_host_config(b, j);
    text = cJSON_PrintUnformatted(j);
    cJSON_Delete(j);
    return text;
}

char *docker_create_body(const bench *b, const char *const *cmd)
{
    return docker_create_body_with(b, cmd, "{}");
}

char *docker_member(const char *json, const char *name)
{
    cJSON *j = cJSON_Parse(json);
    char *text = xstrdup(cJSON_GetStringValue(cJSON_GetObjectItem(j, name)));

    cJSON_Delete(j);
    return text;
}

err *docker_create(bench *b, const char *body, char **ret_id)
{
    auto_free char *answered = NULL, *id = NULL;

    TRY(bench_call(b, "POST", "/containers/create", body, &answered));
    id = docker_member(answered, "Id");
    if (!id)
        return err_new(ERR_SYSTEM, "create: an answer without Id");
    *ret_id = take(id);
    return NULL;
}

err *docker_start(bench *b, const char *id)
{
    auto_free char *path = xasprintf("/containers/%s/start", id);

    return bench_call(b, "POST", path, NULL, NULL);
}

must_check static err *remove_container(bench *b, const char *id)
{
    auto_free char *path = xasprintf("/containers/%s?force=1&v=1", id);

    return bench_call(b, "DELETE", path, NULL, NULL);
}

err *docker_sweep(bench *b, const char *label, uint64_t *ret_n)
{
    auto_free char *path =
        xasprintf("/containers/json?all=1&filters=%%7B%%22label%%22:%%5B%%22%s%%22%%5D%%7D", label);
    auto_free char *listed = NULL;
    err *first = NULL;
    cJSON *j, *item;

    TRY(bench_call(b, "GET", path, NULL, &listed));
    j = cJSON_Parse(listed);
    cJSON_ArrayForEach (item, j) {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItem(item, "Id"));
        err *e = id ? remove_container(b, id) : NULL;

        if (first)
            err_free(e);
        else
            first = e;
        *ret_n += !e && id;
    }
    cJSON_Delete(j);
    return first;
}
