/* links.c - the links of old: on the default bridge one container knows another by a name of its
 * own, in its hosts file and its environment.
 *
 * Recorded as "id:alias", so that a link follows its container through a rename.  On networks of
 * clients links are names alone: they are among the endpoint's settings.  Loop thread only. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LINKS_MAX = 128, CONTIGUOUS_MIN = 3 };

/* ---- create ---- */

static bool is_alias(const char *s)
{
    return *s && strlen(s) <= 255 && !strpbrk(s, " \t\r\n\v\f#/\\=");
}

/* "name:alias", or "name" alone. */
static err *parse(const char *text, arena *a, char **ret_name, char **ret_alias)
{
    auto_strv parts = {0};

    if (str_empty(text))
        return err_new(ERR_INVALID, "empty string specified for links");
    strv_split(&parts, text, ':');
    if (parts.n > 2 || !*parts.v[0])
        return err_new(ERR_INVALID, "bad format for links: %s", text);
    *ret_name = arena_strdup(a, parts.v[0]);
    *ret_alias = arena_strdup(a, parts.n == 2 ? parts.v[1] : parts.v[0] + (*parts.v[0] == '/'));
    if (!is_alias(*ret_alias))
        return err_new(ERR_INVALID, "bad format for links: %s", text);
    return NULL;
}

/* "Not found" would make clients look for the image. */
static err *find_child(const char *name, const char *ref, container **ret_c)
{
    err *e = container_find(ref, ret_c), *told;

    if (!e)
        return NULL;
    told = err_new(ERR_INVALID, "could not get container for %s: %s", name, err_message(e));
    err_free(e);
    return told;
}

/* A container that shares another's network is reached where that one is. */
static err *resolve(const char *name, container **ret_child)
{
    container *c = NULL;

    TRY(find_child(name, name, &c));
    for (int i = 0; i < LINKS_MAX && str_starts(c->rec.host->network_mode, "container:"); i++)
        TRY(find_child(name, c->rec.host->network_mode + strlen("container:"), &c));
    if (str_eq(c->rec.host->network_mode, "host"))
        return err_new(ERR_INVALID, "conflicting options: host type networking can't be used with "
                                    "links. This would result in undefined behavior");
    *ret_child = c;
    return NULL;
}

err *links_decide(const host_config *h, arena *a, json_strs *ret)
{
    if (h->links.n > LINKS_MAX)
        return err_new(ERR_INVALID, "too many links: at most %d", LINKS_MAX);
    if (h->links.n && str_eq(h->network_mode, "host"))
        return err_new(ERR_INVALID, "conflicting options: host type networking can't be used with "
                                    "links. This would result in undefined behavior");
    for (size_t i = 0; i < h->links.n; i++) {
        char *name = NULL, *alias = NULL;
        container *to = NULL;

        TRY(parse(h->links.v[i], a, &name, &alias));
        TRY(resolve(name, &to));
        json_strs_add(ret, a, arena_printf(a, "%s:%s", to->rec.id, alias));
    }
    return NULL;
}

/* ---- reads ---- */

typedef struct link_end {
    container *to;
    const char *alias;
} link_end;

/* False when its container is gone: then the link is too. */
static bool link_nth(const container *c, size_t i, link_end *ret)
{
    const char *text = c->rec.links.v[i], *colon = strchr(text, ':');
    auto_free char *id = colon ? xstrndup(text, (size_t)(colon - text)) : NULL;

    ret->to = id ? registry_by_id(id) : NULL;
    ret->alias = colon ? colon + 1 : "";
    return ret->to != NULL;
}

void links_describe(const container *c, arena *a, json_strs *ret)
{
    link_end l;

    *ret = (json_strs){0};
    for (size_t i = 0; i < c->rec.links.n; i++)
        if (link_nth(c, i, &l))
            json_strs_add(ret, a,
                          arena_printf(a, "/%s:/%s/%s", l.to->rec.name, c->rec.name, l.alias));
}

static const endpoint *on_bridge(const container *c)
{
    network *n = NULL;
    err *e = network_find("bridge", &n);

    err_free(e);
    return e ? NULL : networks_endpoint_on(c, n);
}

err *links_check(const container *c)
{
    link_end l;

    for (size_t i = 0; i < c->rec.links.n && networks_wished(c, "bridge"); i++) {
        if (!link_nth(c, i, &l))
            continue;
        if (!l.to->state.running)
            return err_new(ERR_CONFLICT, "Cannot link to a non running container: /%s AS /%s/%s",
                           l.to->rec.name, c->rec.name, l.alias);
        if (!on_bridge(l.to))
            return err_new(ERR_INVALID, "container %s not attached to default bridge network",
                           l.to->rec.id);
    }
    return NULL;
}

/* "172.17.0.2\tdb 7c0bbe5cd8b6 srv" */
static char *hosts_line(const link_end *l, const char *ip)
{
    bool same = str_eq(l->alias, l->to->rec.name);

    return xasprintf("%s\t%s %s%s%s", ip, l->alias, str_or(l->to->rec.config->hostname, ""),
                     same ? "" : " ", same ? "" : l->to->rec.name);
}

void links_hosts(const container *c, strv *ret_lines)
{
    link_end l;

    for (size_t i = 0; i < c->rec.links.n && networks_wished(c, "bridge"); i++) {
        const endpoint *ep = link_nth(c, i, &l) ? on_bridge(l.to) : NULL;

        if (ep) {
            auto_free char *line = hosts_line(&l, endpoint_ip(ep));

            strv_push(ret_lines, line);
        }
    }
}

/* ---- environment ---- */

typedef struct exposed {
    int number;
    const char *proto;
} exposed;

static int by_number(const void *a, const void *b)
{
    const exposed *x = a, *y = b;

    return x->number != y->number ? x->number - y->number : strcmp(x->proto, y->proto);
}

/* The number of "80/tcp"; 0 when it is none. */
static int port_number(const char *text)
{
    auto_free char *digits = xstrndup(text, strcspn(text, "/"));
    int64_t n;

    return str_to_int64(digits, &n) && n > 0 && n <= UINT16_MAX ? (int)n : 0;
}

static size_t ports_of(const container *c, exposed *ret, size_t room)
{
    const json_strs *list = &c->rec.config->exposed_ports;
    size_t n = 0;

    for (size_t i = 0; i < list->n && n < room; i++) {
        const char *slash = strchr(list->v[i], '/');
        int number = port_number(list->v[i]);

        if (number > 0)
            ret[n++] = (exposed){number, slash ? slash + 1 : "tcp"};
    }
    qsort(ret, n, sizeof *ret, by_number);
    return n;
}

static char *upper(const char *s)
{
    char *out = xstrdup(s);

    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return out;
}

static void say_port(const char *prefix, const exposed *p, const char *ip, strv *env)
{
    auto_free char *proto = upper(p->proto);

    strv_pushf(env, "%s_PORT_%d_%s=%s://%s:%d", prefix, p->number, proto, p->proto, ip, p->number);
    strv_pushf(env, "%s_PORT_%d_%s_ADDR=%s", prefix, p->number, proto, ip);
    strv_pushf(env, "%s_PORT_%d_%s_PORT=%d", prefix, p->number, proto, p->number);
    strv_pushf(env, "%s_PORT_%d_%s_PROTO=%s", prefix, p->number, proto, p->proto);
}

static void say_range(const char *prefix, const exposed *from, const exposed *to, const char *ip,
                      strv *env)
{
    auto_free char *proto = upper(from->proto), *last = upper(to->proto);

    strv_pushf(env, "%s_PORT_%d_%s_START=%s://%s:%d", prefix, from->number, proto, from->proto, ip,
               from->number);
    strv_pushf(env, "%s_PORT_%d_%s_ADDR=%s", prefix, from->number, proto, ip);
    strv_pushf(env, "%s_PORT_%d_%s_PROTO=%s", prefix, from->number, proto, from->proto);
    strv_pushf(env, "%s_PORT_%d_%s_PORT_START=%d", prefix, from->number, proto, from->number);
    strv_pushf(env, "%s_PORT_%d_%s_END=%s://%s:%d", prefix, from->number, last, to->proto, ip,
               to->number);
    strv_pushf(env, "%s_PORT_%d_%s_PORT_END=%d", prefix, from->number, last, to->number);
}

/* Three and more ports in a row are told as a range too. */
static void say_ranges(const char *prefix, const exposed *p, size_t n, const char *ip, strv *env)
{
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;

        while (end < n && p[end].number <= p[end - 1].number + 1)
            end++;
        if (end - i >= CONTIGUOUS_MIN)
            say_range(prefix, &p[i], &p[end - 1], ip, env);
        i = end;
    }
}

static void say_env_of(const char *prefix, const container *to, strv *env)
{
    const json_strs *own = &to->rec.config->env;

    for (size_t i = 0; i < own->n; i++)
        if (strchr(own->v[i], '=') && !str_starts(own->v[i], "HOME=") &&
            !str_starts(own->v[i], "PATH="))
            strv_pushf(env, "%s_ENV_%s", prefix, own->v[i]);
}

static void say_link(const container *c, const link_end *l, const char *ip, strv *env)
{
    auto_free char *prefix = upper(l->alias);
    size_t room = l->to->rec.config->exposed_ports.n;
    auto_free exposed *ports = xcalloc(room + 1, sizeof *ports);
    size_t n = ports_of(l->to, ports, room);

    if (n > 0)
        strv_pushf(env, "%s_PORT=%s://%s:%d", prefix, ports->proto, ip, ports->number);
    say_ranges(prefix, ports, n, ip, env);
    for (size_t i = 0; i < n; i++)
        say_port(prefix, &ports[i], ip, env);
    strv_pushf(env, "%s_NAME=/%s/%s", prefix, c->rec.name, l->alias);
    say_env_of(prefix, l->to, env);
}

void links_env(const container *c, strv *env)
{
    link_end l;

    for (size_t i = 0; i < c->rec.links.n && networks_wished(c, "bridge"); i++) {
        const endpoint *ep = link_nth(c, i, &l) ? on_bridge(l.to) : NULL;

        if (ep)
            say_link(c, &l, endpoint_ip(ep), env);
    }
}
