/* config.h - what the daemon was told: defaults, then the file, then the command line. */
#ifndef BERTH_DAEMON_CONFIG_H
#define BERTH_DAEMON_CONFIG_H

#include <berth/arena.h>
#include <berth/buf.h>
#include <berth/err.h>
#include <berth/json.h>
#include <berth/str.h>

typedef struct config {
    arena *arena;
    strv hosts, labels, dns, dns_options, dns_search, exec_opts, add_runtime, default_ulimit,
        log_opt, default_address_pool, default_network_opt, host_gateway_ip, insecure_registry,
        registry_mirror;
    char *group, *config_file, *data_root, *exec_root, *pidfile, *log_level, *log_format;
    char *tlscacert, *tlscert, *tlskey, *default_runtime, *log_driver, *cgroup_parent, *init_path,
        *bip, *bip6, *fixed_cidr, *fixed_cidr_v6, *default_gateway, *default_gateway_v6, *bridge,
        *storage_driver, *http_proxy, *https_proxy, *no_proxy;
    bool debug, tls, tlsverify, init, live_restore, icc, ip_masq, ip_forward, iptables, ip6tables,
        ipv6;
    bool validate, version, help;
    int64_t shutdown_timeout, mtu, max_downloads, max_attempts;
    /* taken apart from the lists above and from the file's objects */
    json_map log_opts;
    json_list runtimes;            /* of runtime_setting */
    json_list ulimits;             /* of ulimit */
    json_list address_pools;       /* of network_default_pool */
    json_list network_opts;        /* of network_default_opt */
    strv set_by_flag, set_by_file; /* names of options */
    strv conflicts;                /* "key: (from flag: x, from file: y)" */
} config;

typedef struct runtime_setting {
    char *name, *path;
    json_strs args;
} runtime_setting;

enum { EXIT_CONFIG = 1, EXIT_USAGE = 125 };

/* The command line and the file it names, merged and checked.  *ret_usage: the error is one of
 * usage. */
must_check err *config_read(int argc, char **argv, config *ret, bool *ret_usage);
void config_done(config *c);
void config_print_help(void);

/* Options that may not change in a running daemon and differ between the two, as "a, b". */
void config_fixed_changes(const config *was, const config *now, buf *ret_names);

/* ---- between options.c, file.c and check.c ---- */
typedef enum option_kind { OPTION_STR, OPTION_BOOL, OPTION_INT, OPTION_LIST } option_kind;
typedef struct option {
    const char *name; /* of the flag; NULL ends the table */
    char letter;
    const char *file_key; /* NULL: as the flag; "": not in the file */
    option_kind kind;
    size_t offset;
    bool reloads;
    const char *help;
} option;
extern const option options[];
must_check err *option_set(config *c, const option *o, const char *value);
must_check /* A flag or a key of dockerd's that does nothing here. */
    bool
    config_is_refused(const char *name);
must_check err *options_expand(config *c);
must_check err *options_check(config *c);
void options_complete(config *c);
must_check err *config_read_file(config *c, const char *path, bool must_exist);
must_check err *runtime_add(config *c, const char *name, const char *path, const json_strs *args);
must_check err *ulimit_add(config *c, const char *name, int64_t soft, int64_t hard);

#endif
