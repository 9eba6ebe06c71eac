/* hosts.c - /etc/hosts and /etc/hostname for a container.  Any thread. */
#include "netfiles_text.h"
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/str.h>
#include <stdlib.h>
#include <string.h>

static const char localhost_lines[] = "127.0.0.1\tlocalhost\n"
                                      "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                      "fe00::\tip6-localnet\n"
                                      "ff00::\tip6-mcastprefix\n"
                                      "ff02::1\tip6-allnodes\n"
                                      "ff02::2\tip6-allrouters\n";

/* "name:ip" or "name=ip", whichever sign comes first; an IPv6 address may stand in brackets. */
static bool split_extra(const char *text, char **ret_name, char **ret_ip)
{
    size_t n = strcspn(text, ":=");
    const char *ip = text + n + 1;
    size_t ip_length;

    if (n == 0 || !text[n])
        return false;
    ip_length = strlen(ip);
    if (ip_length > 2 && ip[0] == '[' && ip[ip_length - 1] == ']') {
        ip++;
        ip_length -= 2;
    }
    *ret_name = xstrndup(text, n);
    *ret_ip = xstrndup(ip, ip_length);
    return true;
}

static void write_gateways(const char *name, const char *host_gateway, buf *out)
{
    auto_strv all = {0};

    strv_split(&all, host_gateway, ' ');
    for (size_t i = 0; i < all.n; i++)
        buf_printf(out, "%s\t%s\n", all.v[i], name);
}

static err *write_extra(const char *text, const char *host_gateway, buf *out)
{
    auto_free char *name = NULL, *ip = NULL;

    if (!text || !split_extra(text, &name, &ip) || !is_one_word(name) || strchr(name, '#'))
        return err_new(ERR_INVALID, "bad format for add-host: \"%s\"", text ? text : "");
    if (str_eq(ip, "host-gateway")) {
        if (str_empty(host_gateway))
            return err_new(ERR_INVALID, "unable to derive the IP value for host-gateway");
        write_gateways(name, host_gateway, out);
        return NULL;
    }
    if (!is_ip(ip))
        return err_new(ERR_INVALID, "invalid IP address in add-host: \"%s\"", ip);
    buf_printf(out, "%s\t%s\n", ip, name);
    return NULL;
}

void netfiles_own_lines(const char *hostname, const char *domainname, const char *ip, strv *ret)
{
    if (str_empty(ip) || str_empty(hostname))
        return;
    if (str_empty(domainname))
        strv_pushf(ret, "%s\t%s", ip, hostname);
    else
        strv_pushf(ret, "%s\t%s.%s %s", ip, hostname, domainname, hostname);
}

static void write_own(const hosts_opts *opts, buf *out)
{
    auto_strv lines = {0};

    for (size_t i = 0; opts->ips && i < opts->ips->n; i++)
        netfiles_own_lines(opts->hostname, opts->domainname, opts->ips->v[i], &lines);
    for (size_t i = 0; i < lines.n; i++)
        buf_printf(out, "%s\n", lines.v[i]);
}

static err *check_ips(const strv *ips)
{
    for (size_t i = 0; ips && i < ips->n; i++)
        if (!is_ip(ips->v[i]))
            return err_new(ERR_INVALID, "invalid IP address: %s", ips->v[i]);
    return NULL;
}

err *netfiles_check_hostname(const char *hostname, const char *domainname)
{
    if (!str_empty(hostname) && (!is_one_word(hostname) || strchr(hostname, '#')))
        return err_new(ERR_INVALID, "invalid hostname: %s", hostname);
    if (!str_empty(domainname) && (!is_one_word(domainname) || strchr(domainname, '#')))
        return err_new(ERR_INVALID, "invalid domain name: %s", domainname);
    return NULL;
}

err *netfiles_host_hosts(char **ret_text)
{
    return netfile_read("/etc/hosts", ret_text);
}

err *netfiles_hosts(const hosts_opts *opts, char **ret_text)
{
    const json_strs *extra = opts->extra_hosts;
    size_t n = extra ? extra->n : 0;
    auto_buf out = {0};

    TRY(netfiles_check_hostname(opts->hostname, opts->domainname));
    TRY(check_ips(opts->ips));
    buf_str(&out, opts->host_text && n == 0 ? opts->host_text : localhost_lines);
    for (size_t i = 0; i < n; i++)
        TRY(write_extra(extra->v[i], opts->host_gateway, &out));
    for (size_t i = 0; opts->links && i < opts->links->n; i++)
        buf_printf(&out, "%s\n", opts->links->v[i]);
    if (!opts->host_text)
        write_own(opts, &out);
    *ret_text = buf_take(&out);
    return NULL;
}

err *netfiles_hostname(const char *hostname, char **ret_text)
{
    TRY(netfiles_check_hostname(hostname, NULL));
    *ret_text = xasprintf("%s\n", str_or(hostname, ""));
    return NULL;
}
