/* changes.c - the Dockerfile instructions that import (and commit) apply to a configuration.
 *
 * One instruction a string; CMD, ENTRYPOINT, VOLUME and SHELL in JSON form or, as a shell would run
 * them, as plain text.  Pure functions. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHANGE_LIST(F, T) F(T, STRS, items, "l", 0)
JSON_DECLARE(change_list, CHANGE_LIST)
JSON_DEFINE(change_list, CHANGE_LIST)

/* ["a","b"]; false when it is not a JSON list of strings. */
static bool json_form(const char *rest, arena *a, json_strs *ret)
{
    auto_free char *text = xasprintf("{\"l\":%s}", rest);
    change_list list = {0};
    err *e;

    if (*rest != '[')
        return false;
    e = json_decode(&change_list_json, text, strlen(text), JSON_ANY_VERSION, a, &list);
    if (e) {
        err_free(e);
        return false;
    }
    *ret = list.items;
    return true;
}

static void command(const char *rest, const image_run_config *config, arena *a, json_strs *ret)
{
    json_strs list = {0};

    if (json_form(rest, a, ret))
        return;
    for (size_t i = 0; i < config->shell.n; i++)
        json_strs_add(&list, a, config->shell.v[i]);
    if (!list.n) {
        json_strs_add(&list, a, "/bin/sh");
        json_strs_add(&list, a, "-c");
    }
    json_strs_add(&list, a, rest);
    *ret = list;
}

/* The next word of KEY=VALUE lists: quotes and backslashes as in a Dockerfile.  NULL at the end. */
static char *next_word(const char **cursor, arena *a)
{
    const char *p = *cursor + strspn(*cursor, " \t");
    auto_buf word = {0};
    char quote = 0;

    if (!*p)
        return NULL;
    for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
        if (quote ? *p == quote : *p == '"' || *p == '\'')
            quote = quote ? 0 : *p;
        else if (*p == '\\' && p[1] && quote != '\'')
            buf_char(&word, *++p);
        else
            buf_char(&word, *p);
    }
    *cursor = p;
    return arena_strdup(a, word.data ? word.data : "");
}

static void set_env(json_strs *env, arena *a, const char *pair)
{
    size_t key = strcspn(pair, "=") + 1;

    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->v[i], pair, key) == 0) {
            env->v[i] = arena_strdup(a, pair);
            return;
        }
    }
    json_strs_add(env, a, pair);
}

/* "K=V K2=V2" or the old "K V". */
static err *pairs(const char *name, const char *rest, image_run_config *config, arena *a)
{
    bool is_env = str_eq(name, "ENV");
    size_t key = strcspn(rest, " \t=");
    char *word;

    if (rest[key] != '=') {
        char *value = arena_strdup(a, rest + key + strspn(rest + key, " \t"));
        char *k = arena_strndup(a, rest, key);

        if (!*value)
            return err_new(ERR_INVALID, "%s must have two arguments", name);
        if (is_env)
            set_env(&config->env, a, arena_printf(a, "%s=%s", k, value));
        else
            json_map_set(&config->labels, a, k, value);
        return NULL;
    }
    while ((word = next_word(&rest, a))) {
        char *eq = strchr(word, '=');

        if (!eq || eq == word)
            return err_new(ERR_INVALID,
                           "Syntax error - can't find = in \"%s\". Must be of the form: name=value",
                           word);
        if (is_env) {
            set_env(&config->env, a, word);
        } else {
            *eq = '\0';
            json_map_set(&config->labels, a, word, eq + 1);
        }
    }
    return NULL;
}

static err *exposed(const char *rest, image_run_config *config, arena *a)
{
    char *word;

    while ((word = next_word(&rest, a))) {
        char *slash = strchr(word, '/');
        uint64_t port;

        if (slash)
            *slash = '\0';
        if (!str_to_uint64(word, &port) || port > 65535 ||
            (slash && !str_eq(slash + 1, "tcp") && !str_eq(slash + 1, "udp") &&
             !str_eq(slash + 1, "sctp")))
            return err_new(ERR_INVALID, "invalid containerPort: %s", word);
        json_strs_add(&config->exposed_ports, a,
                      arena_printf(a, "%s/%s", word, slash ? slash + 1 : "tcp"));
    }
    return NULL;
}

static void volumes(const char *rest, image_run_config *config, arena *a)
{
    json_strs list = {0};
    char *word;

    if (!json_form(rest, a, &list))
        while ((word = next_word(&rest, a)))
            json_strs_add(&list, a, word);
    for (size_t i = 0; i < list.n; i++)
        json_strs_add(&config->volumes, a, list.v[i]);
}

/* HEALTHCHECK [--interval=D --timeout=D --start-period=D --start-interval=D --retries=N] CMD ...,
 * or NONE. */
static err *health(const char *rest, image_run_config *config, arena *a)
{
    healthcheck *h = arena_alloc(a, sizeof(*h));
    const struct {
        const char *name;
        int64_t *to;
    } options[] = {{"--interval=", &h->interval},
                   {"--timeout=", &h->timeout},
                   {"--start-period=", &h->start_period},
                   {"--start-interval=", &h->start_interval}};

    while (str_starts(rest, "--")) {
        char *word = next_word(&rest, a);
        bool known = false;

        for (size_t i = 0; i < COUNT(options) && !known; i++) {
            known = str_starts(word, options[i].name);
            if (known)
                TRY(duration_parse(word + strlen(options[i].name), options[i].to));
        }
        if (!known && !(str_starts(word, "--retries=") && str_to_int64(word + 10, &h->retries)))
            return err_new(ERR_INVALID, "unknown flag: %s", word);
        rest += strspn(rest, " \t");
    }
    if (str_eq_nocase(rest, "NONE")) {
        json_strs_add(&h->test, a, "NONE");
    } else if (strncasecmp(rest, "CMD ", 4) == 0) {
        json_strs args = {0};
        bool as_json = json_form(rest + 4 + strspn(rest + 4, " \t"), a, &args);

        json_strs_add(&h->test, a, as_json ? "CMD" : "CMD-SHELL");
        for (size_t i = 0; as_json && i < args.n; i++)
            json_strs_add(&h->test, a, args.v[i]);
        if (!as_json)
            json_strs_add(&h->test, a, rest + 4 + strspn(rest + 4, " \t"));
    } else {
        return err_new(ERR_INVALID, "Unknown type \"%s\" in HEALTHCHECK (try CMD)", rest);
    }
    config->healthcheck = h;
    return NULL;
}

static err *apply(const char *name, const char *rest, image_run_config *config, arena *a)
{
    if (!*rest)
        return err_new(ERR_INVALID, "%s requires at least one argument", name);
    if (str_eq(name, "CMD"))
        command(rest, config, a, &config->cmd);
    else if (str_eq(name, "ENTRYPOINT"))
        command(rest, config, a, &config->entrypoint);
    else if (str_eq(name, "ENV") || str_eq(name, "LABEL"))
        return pairs(name, rest, config, a);
    else if (str_eq(name, "EXPOSE"))
        return exposed(rest, config, a);
    else if (str_eq(name, "USER"))
        config->user = arena_strdup(a, rest);
    else if (str_eq(name, "WORKDIR"))
        config->working_dir = *rest == '/'
                                  ? arena_strdup(a, rest)
                                  : arena_printf(a, "%s/%s", str_or(config->working_dir, ""), rest);
    else if (str_eq(name, "STOPSIGNAL"))
        config->stop_signal = arena_strdup(a, rest);
    else if (str_eq(name, "VOLUME"))
        volumes(rest, config, a);
    else if (str_eq(name, "ONBUILD"))
        json_strs_add(&config->on_build, a, rest);
    else if (str_eq(name, "HEALTHCHECK"))
        return health(rest, config, a);
    else
        return err_new(ERR_INVALID, "%s is not a valid change command", name);
    return NULL;
}

err *changes_apply(const json_strs *changes, image_run_config *config, arena *a)
{
    for (size_t i = 0; changes && i < changes->n; i++) {
        const char *line = changes->v[i] + strspn(changes->v[i], " \t\n");
        size_t n = strcspn(line, " \t");
        char *name = arena_strndup(a, line, n);
        const char *rest = line + n + strspn(line + n, " \t");

        for (char *p = name; *p; p++)
            *p = (char)toupper((unsigned char)*p);
        if (*name)
            TRY(apply(name, rest, config, a));
    }
    return NULL;
}
