/* distribution.c - what registries say: GET /distribution/{name}/json, and POST /auth.
 *
 * Loop thread only. */
#include "routes.h"
#include <berth/image.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <string.h>

static void on_looked(void *arg, err *e, const distribution_inspect *answer)
{
    if (e)
        reply_error(arg, e);
    else
        reply_json(arg, 200, &distribution_inspect_json, answer);
}

static void inspect_distribution(request *r)
{
    err *e =
        registry_look(request_param(r, "name"), request_header(r, "X-Registry-Auth"), on_looked, r);

    if (e)
        reply_error(r, e);
}

#define AUTH_BODY(F, T)                                    \
    F(T, STR, username, "username", OMIT_EMPTY)            \
    F(T, STR, password, "password", OMIT_EMPTY)            \
    F(T, STR, identity_token, "identitytoken", OMIT_EMPTY) \
    F(T, STR, server, "serveraddress", OMIT_EMPTY)
JSON_DECLARE(auth_body, AUTH_BODY)
JSON_DEFINE(auth_body, AUTH_BODY)

static void on_logged_in(void *arg, err *e, const distribution_inspect *answer)
{
    static const char said[] = "{\"Status\":\"Login Succeeded\",\"IdentityToken\":\"\"}\n";

    auto_err *refused = e && strstr(err_message(e), "unauthorized") ? e : NULL;

    (void)answer;
    if (refused)
        reply_error(arg, err_new(ERR_UNAUTHORIZED, "%s", err_message(refused)));
    else if (e)
        reply_error(arg, e);
    else
        reply_bytes(arg, 200, "application/json", said, sizeof said - 1);
}

/* The body is what the header of a pull is, in plain. */
static void log_in(request *r)
{
    auth_body body = {0};
    size_t n;
    err *e = request_json(r, &auth_body_json, false, &body);

    if (!e)
        e = registry_login(str_or(body.server, ""), request_body(r, &n), on_logged_in, r);
    if (e)
        reply_error(r, e);
}

const route distribution_routes[] = {
    {GET, "/distribution/{name...}/json", inspect_distribution, 0},
    {POST, "/auth", log_in, 0},
    {0},
};
