/* exec.c - the exec half of the container router.  Loop thread only. */
#include "routes.h"
#include <berth/exec.h>
#include <berth/route.h>
#include <berth/str.h>
#include <stdint.h>

err *route_tty_size(request *r, unsigned *ret_rows, unsigned *ret_cols)
{
    int64_t rows = 0, cols = 0;

    TRY(request_query_int(r, "h", 0, &rows));
    TRY(request_query_int(r, "w", 0, &cols));
    if (rows < 0 || rows > UINT16_MAX || cols < 0 || cols > UINT16_MAX)
        return err_new(ERR_INVALID, "invalid resize height or width: value out of range");
    *ret_rows = (unsigned)rows;
    *ret_cols = (unsigned)cols;
    return NULL;
}

static void create_exec(request *r)
{
    exec_config config = {0};
    container *c = NULL;
    exec *x = NULL;
    id_answer answer;
    err *e = request_json(r, &exec_config_json, false, &config);

    if (!e)
        e = container_find(request_param(r, "id"), &c);
    if (!e)
        e = exec_create(c, &config, &x);
    if (e) {
        reply_error(r, e);
        return;
    }
    answer.id = (char *)exec_id(x);
    reply_json(r, 201, &id_answer_json, &answer);
}

static void inspect_exec(request *r)
{
    exec_inspect_answer answer = {0};
    exec *x = NULL;
    err *e = exec_find(request_param(r, "id"), &x);

    if (e) {
        reply_error(r, e);
        return;
    }
    exec_inspected(x, request_arena(r), &answer);
    reply_json(r, 200, &exec_inspect_answer_json, &answer);
}

static void on_resized(void *arg, err *e)
{
    if (e)
        reply_error(arg, e);
    else
        reply_empty(arg, 200);
}

static void resize_exec(request *r)
{
    unsigned rows, cols;
    exec *x = NULL;
    err *e = route_tty_size(r, &rows, &cols);

    if (!e)
        e = exec_find(request_param(r, "id"), &x);
    if (e)
        reply_error(r, e);
    else
        exec_resize(x, rows, cols, on_resized, r);
}

const route exec_routes[] = {
    {POST, "/containers/{id}/exec", create_exec, 0},
    {POST, "/exec/{id}/start", start_exec, 0},
    {POST, "/exec/{id}/resize", resize_exec, 0},
    {GET, "/exec/{id}/json", inspect_exec, 0},
    {0},
};
