/* netfiles.h - the text of resolv.conf, hosts and hostname for a container.
 *
 * Text in, text out: whoever owns the container's directory writes the files.  Everything a client
 * sent is checked, so that no value can add a line.  Any thread; netfiles_host_resolv and
 * netfiles_host_hosts read files. */
#ifndef BERTH_NETFILES_H
#define BERTH_NETFILES_H

#include <berth/err.h>
#include <berth/json.h>
#include <berth/str.h>
#include <stdbool.h>

typedef struct dns_opts { /* each NULL or empty: not said */
    const json_strs *servers, *search, *options;
} dns_opts;

/* What HostConfig says, for create: ERR_INVALID in dockerd's words. */
must_check err *netfiles_check(const dns_opts *dns, const json_strs *extra_hosts);
must_check err *netfiles_check_hostname(const char *hostname, const char *domainname);

/* The host's resolver file: /etc/resolv.conf, or systemd-resolved's list of real servers where the
 * former only names its stub and the container has a network of its own.  "" when there is none. */
must_check err *netfiles_host_resolv(bool host_mode, char **ret_text);
/* The container's wishes win over the daemon's (each may be NULL), those over the host's text.
 * Loopback and IPv6 servers of the host's are of no use in a container and left out unless
 * host_mode; 8.8.8.8 and 8.8.4.4 when none is left. */
must_check err *netfiles_resolv_conf(const char *host_text, bool host_mode,
                                     const dns_opts *container, const dns_opts *daemon,
                                     char **ret_text);

/* The same for a container that has a name server of its own (dns.h): that one alone is named, the
 * others in a comment. */
must_check err *netfiles_resolv_internal(const char *host_text, const dns_opts *container,
                                         const dns_opts *daemon, char **ret_text);

must_check err *netfiles_host_hosts(char **ret_text); /* "" when there is none */
typedef struct hosts_opts {
    const char *hostname, *domainname;
    const json_strs *extra_hosts; /* "name:ip", "name=ip", "name:host-gateway" */
    const char *host_gateway;     /* what host-gateway stands for; a line for each word of it */
    const strv *links;            /* whole lines for other containers; NULL: none */
    const strv *ips;              /* the container's; NULL or none: no line for it */
    const char *host_text; /* host mode: the host's file, taken as is when there are no extra hosts;
                              else NULL */
} hosts_opts;
must_check err *netfiles_hosts(const hosts_opts *opts, char **ret_text);
must_check err *netfiles_hostname(const char *hostname, char **ret_text);

/* The line of hosts for one of the container's addresses ("": none). */
void netfiles_own_lines(const char *hostname, const char *domainname, const char *ip, strv *ret);
/* Puts text in place of was, when that is still all of it: what the container has edited stays.
 * Blocks; any thread. */
must_check err *netfile_replace(const char *path, const char *was, const char *text);
/* Adds lines to a container's hosts file, or takes them out, in place: it is mounted as a file, and
 * what the container wrote into it stays.  Blocks; any thread. */
must_check err *netfile_add_lines(const char *path, const strv *lines);
must_check err *netfile_drop_lines(const char *path, const strv *lines);

#endif
