/* endpoint_file.c - an endpoint is written down before the kernel has its link.
 *
 * A file of exec-root/endpoints, written by the job that attaches: it needs no sync, for it has to
 * outlive the daemon and not the host, whose links end with it too.  So a daemon that is killed at
 * any moment leaves no link of a running container that the next one does not know.
 * Blocks on workers; endpoints_load blocks before the loop runs. */
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

JSON_DEFINE(endpoint_record, ENDPOINT_RECORD)

enum { FILE_MAX = 256 * 1024 };

static char *path_of(const char *id)
{
    return xasprintf("%s/endpoints/%s", network_here.exec_root, id);
}

static err *write_text(const char *path, const buf *text)
{
    auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_errno(errno, "create %s", path);
    if (write(fd, text->data, text->len) != (ssize_t)text->len)
        return err_errno(errno ? errno : ENOSPC, "write %s", path);
    return NULL;
}

static err *make_directory(void)
{
    auto_free char *dir = path_of("");

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_errno(errno, "mkdir %s", dir);
    return NULL;
}

/* Under another name first: half a file would be nobody's endpoint. */
err *endpoint_write_down(const endpoint *ep)
{
    endpoint_record rec = {
        .id = (char *)ep->id,
        .network = (char *)ep->net->id,
        .container = ep->container,
        .name = ep->name,
        .ip = (char *)ep->ip_text,
        .ip6 = (char *)ep->ip6_text,
        .mac = (char *)ep->mac_text,
        .ifname = (char *)ep->ifname,
        .gw_priority = ep->gw_priority,
        .names = ep->names,
        .links = ep->links,
    };
    auto_free char *path = path_of(ep->id), *draft = xasprintf("%s.new", path);
    auto_buf text = {0};
    err *e;

    json_encode(&endpoint_record_json, &rec, JSON_ANY_VERSION, &text);
    e = write_text(draft, &text);
    if (err_errnum(e) == ENOENT) {
        err_free(e);
        TRY(make_directory());
        e = write_text(draft, &text);
    }
    TRY(e);
    if (rename(draft, path) < 0)
        return err_errno(errno, "rename %s", draft);
    return NULL;
}

err *endpoint_strike_out(const char *id)
{
    auto_free char *path = path_of(id);

    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(errno, "remove %s", path);
    return NULL;
}

/* ---- what the last daemon knew ---- */

static err *take_back(network *n, const char *text, addr *ret_a, int *ret_prefix)
{
    addr a;

    if (str_empty(text))
        return NULL;
    if (!addr_parse(text, &a))
        return err_new(ERR_INVALID, "not an address: %s", text);
    for (size_t i = 0; i < n->n_pools; i++) {
        cidr c = pool_subnet(n->pools[i].pool);

        if (!cidr_has(c, a))
            continue;
        if (!pool_reserve(n->pools[i].pool, a))
            return err_new(ERR_CONFLICT, "two endpoints have the address %s", text);
        *ret_a = a;
        *ret_prefix = c.prefix;
        return NULL;
    }
    return err_new(ERR_CONFLICT, "network %s does not have the address %s", n->name, text);
}

static err *restore(const endpoint_record *rec, endpoint *ep)
{
    if (!ep->net || !rec->id || strlen(rec->id) != ID_TEXT - 1 || str_empty(rec->container) ||
        strlen(str_or(rec->ifname, "")) >= NAME_TEXT)
        return err_new(ERR_INVALID, "incomplete");
    ep->arena = arena_new();
    memcpy(ep->id, rec->id, ID_TEXT);
    endpoint_name_veth(ep);
    ep->container = xstrdup(rec->container);
    ep->name = xstrdup(str_or(rec->name, ""));
    memcpy(ep->ifname, str_or(rec->ifname, ""), strlen(str_or(rec->ifname, "")) + 1);
    ep->gw_priority = (int)rec->gw_priority;
    for (size_t i = 0; i < rec->names.n; i++)
        json_strs_add(&ep->names, ep->arena, arena_strdup(ep->arena, rec->names.v[i]));
    for (size_t i = 0; i < rec->links.n; i++)
        json_strs_add(&ep->links, ep->arena, arena_strdup(ep->arena, rec->links.v[i]));
    if (!ep->net->driver->has_addresses)
        return NULL;
    if (ep->net->driver != &driver_ipvlan)
        TRY(mac_parse(str_or(rec->mac, ""), ep->mac));
    TRY(take_back(ep->net, rec->ip, &ep->ip, &ep->prefix));
    TRY(take_back(ep->net, rec->ip6, &ep->ip6, &ep->prefix6));
    endpoint_write_texts(ep);
    return NULL;
}

static err *load_text(const char *text)
{
    auto_arena *a = arena_new();
    endpoint_record rec = {0};
    endpoint *ep;
    err *e;

    TRY(json_decode(&endpoint_record_json, text, strlen(text), JSON_ANY_VERSION, a, &rec));
    ep = new0(endpoint);
    ep->net = networks_by_id(str_or(rec.network, ""));
    e = restore(&rec, ep);
    if (!e) {
        endpoint_list(ep);
        endpoints_choose_gateway(ep->container);
    } else if (ep->net) {
        endpoint_dispose(ep);
    } else {
        free(ep);
    }
    return e;
}

static err *load_file(int dir, const char *name)
{
    auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    auto_free char *text = xcalloc(1, FILE_MAX + 1);
    ssize_t n = fd < 0 ? -1 : read(fd, text, FILE_MAX);

    if (n < 0)
        return err_errno(errno, "read");
    return load_text(text);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_record(const struct dirent *d)
{
    return strlen(d->d_name) == ID_TEXT - 1;
}

/* A record that makes no sense is reported and removed; the sweep removes its link. */
err *endpoints_load(void)
{
    auto_free char *path = path_of("");
    auto_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent **list = NULL;
    int n = dir < 0 ? 0 : scandirat(dir, ".", &list, is_record, by_name);

    for (int i = 0; i < n; i++) {
        err *e = load_file(dir, list[i]->d_name);

        if (e) {
            err_log(err_wrap(e, "%s", list[i]->d_name), "record of an endpoint is unusable");
            unlinkat(dir, list[i]->d_name, 0);
        }
        free(list[i]);
    }
    free(list);
    return NULL;
}

/* ---- jobs ---- */

err *endpoint_attach(endpoint *ep, const char *netns_path)
{
    err *e;

    if (!ep->net->driver->attach)
        return NULL;
    TRY(endpoint_write_down(ep));
    e = ep->net->driver->attach(ep, netns_path);
    if (e)
        err_log(endpoint_strike_out(ep->id), "record of a failed attach is left");
    return e;
}

err *endpoint_detach(endpoint *ep, const char *netns_path)
{
    if (!ep->net->driver->attach)
        return NULL;
    if (ep->net->driver->detach)
        TRY(ep->net->driver->detach(ep, netns_path));
    return endpoint_strike_out(ep->id);
}
