/* resolv.c - resolv.conf for a container.
 *
 * The host's file is read into its parts, the parts are overridden and filtered, and written anew:
 * no text of a client is ever copied unseen.  Any thread. */
#include "netfiles_text.h"
#include <berth/buf.h>
#include <berth/dns.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

static const char etc_resolv[] = "/etc/resolv.conf";
static const char resolved_resolv[] = "/run/systemd/resolve/resolv.conf";
static const char resolved_stub[] = "127.0.0.53";
static const char blanks[] = " \t\r";

typedef struct resolv {
    strv servers, search, options;
    strv others; /* lines of a meaning of their own, kept */
} resolv;

static void resolv_done(resolv *r)
{
    strv_done(&r->servers);
    strv_done(&r->search);
    strv_done(&r->options);
    strv_done(&r->others);
}
#define auto_resolv __attribute__((cleanup(resolv_done))) resolv

/* The word at *at, a copy, and *at moves behind it; NULL when there is none. */
static char *next_word(const char **at)
{
    const char *start = *at + strspn(*at, blanks);
    size_t n = strcspn(start, blanks);

    *at = start + n;
    return n > 0 ? xstrndup(start, n) : NULL;
}

static void add_words(strv *to, const char *words)
{
    for (char *w; (w = next_word(&words)); free(w))
        strv_push(to, w);
}

static void read_line(resolv *r, const char *line)
{
    const char *rest = line;
    auto_free char *key = next_word(&rest);

    if (!key || key[0] == '#' || key[0] == ';')
        return;
    if (str_eq(key, "nameserver")) {
        auto_free char *server = next_word(&rest);

        if (is_ip(server))
            strv_push(&r->servers, server);
    } else if (str_eq(key, "search") || str_eq(key, "domain")) { /* the last one counts */
        strv_done(&r->search);
        add_words(&r->search, rest);
    } else if (str_eq(key, "options")) {
        add_words(&r->options, rest);
    } else {
        strv_push(&r->others, line);
    }
}

static void resolv_read(resolv *r, const char *text)
{
    auto_strv lines = {0};

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++)
        read_line(r, lines.v[i]);
}

/* ---- wishes ---- */

static const json_strs *wish_of(const json_strs *container, const json_strs *daemon)
{
    if (container && container->n > 0)
        return container;
    return daemon && daemon->n > 0 ? daemon : NULL;
}

/* A wish replaces what the host says; "." alone asks for no search list at all. */
static bool override(strv *part, const json_strs *wish)
{
    if (!wish)
        return false;
    strv_done(part);
    for (size_t i = 0; i < wish->n; i++)
        if (!str_eq(wish->v[i], "."))
            strv_push(part, wish->v[i]);
    return true;
}

static bool is_of_use(const char *server)
{
    return !strchr(server, ':') && !str_starts(server, "127.") && !str_eq(server, "0.0.0.0");
}

static void keep_reachable(strv *servers)
{
    strv kept = {0};

    for (size_t i = 0; i < servers->n; i++)
        if (is_of_use(servers->v[i]))
            strv_push(&kept, servers->v[i]);
    if (kept.n == 0)
        strv_add(&kept, "8.8.8.8", "8.8.4.4", NULL);
    strv_done(servers);
    *servers = kept;
}

static void write_list(buf *out, const char *key, const strv *words)
{
    if (words->n == 0)
        return;
    buf_str(out, key);
    for (size_t i = 0; i < words->n; i++)
        buf_printf(out, " %s", words->v[i]);
    buf_char(out, '\n');
}

static char *resolv_write(const resolv *r)
{
    auto_buf out = {0};

    for (size_t i = 0; i < r->servers.n; i++)
        buf_printf(&out, "nameserver %s\n", r->servers.v[i]);
    write_list(&out, "search", &r->search);
    write_list(&out, "options", &r->options);
    for (size_t i = 0; i < r->others.n; i++)
        buf_printf(&out, "%s\n", r->others.v[i]);
    return buf_take(&out);
}

/* ---- checks ---- */

typedef bool is_good(const char *s);

static err *check_all(const json_strs *wish, is_good *good, const char *complaint)
{
    for (size_t i = 0; wish && i < wish->n; i++)
        if (!good(wish->v[i]))
            return err_new(ERR_INVALID, "%s: %s", complaint, wish->v[i] ? wish->v[i] : "");
    return NULL;
}

static err *check_dns(const dns_opts *dns)
{
    TRY(check_all(dns->servers, is_ip, "bad nameserver address"));
    TRY(check_all(dns->search, is_one_word, "invalid DNS search domain"));
    return check_all(dns->options, is_one_word, "invalid DNS option");
}

err *netfiles_check(const dns_opts *dns, const json_strs *extra_hosts)
{
    hosts_opts only_extra = {.extra_hosts = extra_hosts, .host_gateway = "192.0.2.1"};
    auto_free char *text = NULL;

    TRY(check_dns(dns));
    return netfiles_hosts(&only_extra, &text);
}

err *netfile_read_resolv(const char *path, const char *resolved_path, char **ret_text)
{
    auto_free char *text = NULL;
    auto_resolv r = {0};

    TRY(netfile_read(path, &text));
    resolv_read(&r, text);
    if (r.servers.n == 1 && str_eq(r.servers.v[0], resolved_stub)) {
        auto_free char *real = NULL;

        TRY(netfile_read(resolved_path, &real));
        *ret_text = take(real);
    } else {
        *ret_text = take(text);
    }
    return NULL;
}

err *netfiles_host_resolv(bool host_mode, char **ret_text)
{
    if (host_mode)
        return netfile_read(etc_resolv, ret_text);
    return netfile_read_resolv(etc_resolv, resolved_resolv, ret_text);
}

err *netfiles_resolv_conf(const char *host_text, bool host_mode, const dns_opts *container,
                          const dns_opts *daemon, char **ret_text)
{
    static const dns_opts nothing;
    const dns_opts *c = container ? container : &nothing, *d = daemon ? daemon : &nothing;
    const json_strs *servers = wish_of(c->servers, d->servers);
    const json_strs *search = wish_of(c->search, d->search);
    const json_strs *options = wish_of(c->options, d->options);
    dns_opts wish = {servers, search, options};
    auto_resolv r = {0};

    TRY(check_dns(&wish));
    if (host_mode && !servers && !search && !options) {
        *ret_text = xstrdup(host_text);
        return NULL;
    }
    resolv_read(&r, host_text);
    override(&r.search, search);
    override(&r.options, options);
    if (!override(&r.servers, servers) && !host_mode)
        keep_reachable(&r.servers);
    *ret_text = resolv_write(&r);
    return NULL;
}

/* ---- for a container with a name server of its own ---- */

static bool has_option(const strv *options, const char *name)
{
    for (size_t i = 0; i < options->n; i++)
        if (str_starts(options->v[i], name))
            return true;
    return false;
}

/* As dockerd writes it; servers of the host's loopback are asked from the host. */
static void write_servers(buf *out, const strv *servers, bool of_host)
{
    buf_str(out, "# ExtServers: [");
    for (size_t i = 0; i < servers->n; i++) {
        bool host = of_host && str_starts(servers->v[i], "127.");

        buf_printf(out, "%s%s%s%s", i ? " " : "", host ? "host(" : "", servers->v[i],
                   host ? ")" : "");
    }
    buf_str(out, "]\n");
}

err *netfiles_resolv_internal(const char *host_text, const dns_opts *container,
                              const dns_opts *daemon, char **ret_text)
{
    static const dns_opts nothing;
    const dns_opts *c = container ? container : &nothing, *d = daemon ? daemon : &nothing;
    dns_opts wish = {wish_of(c->servers, d->servers), wish_of(c->search, d->search),
                     wish_of(c->options, d->options)};
    auto_resolv r = {0};
    auto_buf out = {0}, replaced = {0};
    bool own_ndots;

    TRY(check_dns(&wish));
    resolv_read(&r, host_text);
    override(&r.servers, wish.servers);
    override(&r.search, wish.search);
    override(&r.options, wish.options);
    own_ndots = has_option(&r.options, "ndots:");
    if (!own_ndots)
        strv_push(&r.options, "ndots:0");
    buf_str(&out, "# Generated by Docker Engine.\n"
                  "# This file can be edited; Docker Engine will not make further changes once it\n"
                  "# has been modified.\n\n"
                  "nameserver " DNS_ADDRESS "\n");
    write_list(&out, "search", &r.search);
    write_list(&out, "options", &r.options);
    buf_str(&out, "\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n");
    write_servers(&out, &r.servers, !wish.servers);
    buf_printf(&replaced, "%s%s%s", wish.servers ? "nameservers " : "",
               wish.search ? "search " : "", wish.options ? "options " : "");
    buf_printf(&out, "# Overrides: [%.*s]\n", replaced.len ? (int)replaced.len - 1 : 0,
               str_or(replaced.data, ""));
    buf_printf(&out, "# Option ndots from: %s\n",
               !own_ndots     ? "internal"
               : wish.options ? "override"
                              : "host");
    *ret_text = buf_take(&out);
    return NULL;
}
