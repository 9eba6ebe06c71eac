/* firewall.c - the nftables tables that are ours, made anew in one transaction.
 *
 * The rules are fixed; what changes with the networks are elements of sets.  libnftables is loaded
 * for the moment of a change and closed again: resident, it and what it pulls in weigh 1.5 MiB, a
 * quarter of what the whole daemon may.  Blocks; any thread. */
#include "firewall.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct nft_library {
    void *handle;
    struct nft_ctx *(*ctx_new)(uint32_t flags);
    void (*ctx_free)(struct nft_ctx *ctx);
    int (*buffer_output)(struct nft_ctx *ctx);
    int (*buffer_error)(struct nft_ctx *ctx);
    const char *(*get_error)(struct nft_ctx *ctx);
    int (*run)(struct nft_ctx *ctx, const char *text);
} nft_library;

static void library_close(nft_library *nft)
{
    if (nft->handle)
        dlclose(nft->handle);
    nft->handle = NULL;
}

static err *symbol(nft_library *nft, const char *name, void *ret_fn)
{
    void *fn = dlsym(nft->handle, name);

    if (!fn)
        return err_new(ERR_SYSTEM, "libnftables has no %s", name);
    memcpy(ret_fn, &fn, sizeof fn);
    return NULL;
}

static err *library_open(nft_library *nft)
{
    nft->handle = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nft->handle)
        return err_new(ERR_SYSTEM, "load libnftables: %s", dlerror());
    TRY(symbol(nft, "nft_ctx_new", &nft->ctx_new));
    TRY(symbol(nft, "nft_ctx_free", &nft->ctx_free));
    TRY(symbol(nft, "nft_ctx_buffer_output", &nft->buffer_output));
    TRY(symbol(nft, "nft_ctx_buffer_error", &nft->buffer_error));
    TRY(symbol(nft, "nft_ctx_get_error_buffer", &nft->get_error));
    return symbol(nft, "nft_run_cmd_from_buffer", &nft->run);
}

/* The first line of what libnftables says is the reason; the rest repeats the rule. */
static err *refused(const char *said)
{
    size_t n = said ? strcspn(said, "\n") : 0;
    const char *why = n > 0 ? said : "no reason given";

    return err_new(ERR_SYSTEM, "nftables: %.*s", n > 0 ? (int)n : (int)strlen(why), why);
}

static err *run_in(nft_library *nft, const char *text)
{
    struct nft_ctx *ctx = nft->ctx_new(NFT_CTX_DEFAULT);
    err *e = NULL;

    if (!ctx)
        return err_new(ERR_SYSTEM, "nftables cannot be reached");
    nft->buffer_output(ctx);
    nft->buffer_error(ctx);
    if (nft->run(ctx, text) != 0)
        e = refused(nft->get_error(ctx));
    nft->ctx_free(ctx);
    return e;
}

static err *run(const char *text)
{
    __attribute__((cleanup(library_close))) nft_library nft = {0};

    TRY(library_open(&nft));
    return run_in(&nft, text);
}

typedef struct errand {
    const char *text;
    err *e;
} errand;

/* A descriptor table of its own, nearly empty: the library waits with select(), which ends the
 * process when its socket is beyond the first 1,024 descriptors. */
static void *run_apart(void *arg)
{
    errand *it = arg;

    pthread_setname_np(pthread_self(), FIREWALL_THREAD);
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_UNSHARE) < 0)
        it->e = err_errno(errno, "a descriptor table for nftables");
    else
        it->e = run(it->text);
    return NULL;
}

/* One at a time: what the library sets up at its first context and takes down at its last is not
 * made for several threads. */
err *firewall_transaction(const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    errand it = {.text = text};
    pthread_t thread;
    int rc;

    pthread_mutex_lock(&lock);
    rc = pthread_create(&thread, NULL, run_apart, &it);
    if (!rc)
        pthread_join(thread, NULL);
    pthread_mutex_unlock(&lock);
    return rc ? err_errno(rc, "a thread for nftables") : it.e;
}

/* ---- sets ---- */

/* What is different in the table of a family. */
typedef struct family {
    const char *name, *address_type;
    const char *translation; /* chains that only it has */
    const char *loopback;    /* how a packet from the host's own is told, going to a bridge */
    bool v6;
} family;

/* One bridge's element of a set; subnet is the bridge's of the family. */
typedef bool element_writer(const firewall_bridge *b, cidr subnet, buf *out);

static bool write_name(const firewall_bridge *b, cidr subnet, buf *out)
{
    (void)subnet;
    buf_printf(out, "\"%s\"", b->name);
    return true;
}

static bool write_pair(const firewall_bridge *b, cidr subnet, buf *out)
{
    (void)subnet;
    if (b->icc)
        buf_printf(out, "\"%s\" . \"%s\"", b->name, b->name);
    return b->icc;
}

static void write_cidr(cidr c, buf *out)
{
    char text[CIDR_TEXT];

    cidr_format(c, text);
    buf_str(out, text);
}

static bool write_home(const firewall_bridge *b, cidr subnet, buf *out)
{
    write_cidr(subnet, out);
    buf_printf(out, " . \"%s\"", b->name);
    return true;
}

static bool write_masqueraded(const firewall_bridge *b, cidr subnet, buf *out)
{
    if (b->masquerade && !b->internal)
        write_cidr(subnet, out);
    return b->masquerade && !b->internal;
}

static bool write_shut(const firewall_bridge *b, cidr subnet, buf *out)
{
    return b->internal && write_name(b, subnet, out);
}

static void write_set(const firewall_rules *rules, const family *f, const char *name,
                      const char *type, element_writer *write, buf *out)
{
    auto_buf elements = {0};

    for (size_t i = 0; i < rules->n; i++) {
        const firewall_bridge *b = &rules->bridges[i];
        cidr subnet = f->v6 ? b->subnet6 : b->subnet;

        if (addr_is_set(subnet.base) && write(b, subnet, &elements))
            buf_str(&elements, ", ");
    }
    buf_printf(out, " set %s {\n  type %s\n", name, type);
    if (elements.len > 0) {
        buf_truncate(&elements, elements.len - strlen(", "));
        buf_printf(out, "  elements = { %s }\n", elements.data);
    }
    buf_str(out, " }\n");
}

/* ---- ports ---- */

static void write_key(const port_element *p, buf *out)
{
    const char *protocol = p->protocol == IPPROTO_UDP    ? "udp"
                           : p->protocol == IPPROTO_SCTP ? "sctp"
                                                         : "tcp";
    char ip[ADDR_TEXT];

    addr_format(addr_v4(p->host_ip), ip);
    if (p->host_ip)
        buf_printf(out, "%s . ", ip);
    buf_printf(out, "%s . %u", protocol, p->host_port);
}

static void write_target(const port_element *p, buf *out)
{
    char ip[ADDR_TEXT];

    addr_format(addr_v4(p->ip), ip);
    buf_printf(out, " : %s . %u", ip, p->port);
}

/* Those with an address of the host, or those without; false when there is none. */
static bool write_ports(const port_element *ports, size_t n, bool at, bool targets, buf *out)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        if ((ports[i].host_ip != 0) != at)
            continue;
        buf_str(out, any ? ", " : "");
        write_key(&ports[i], out);
        if (targets)
            write_target(&ports[i], out);
        any = true;
    }
    return any;
}

static void write_map(const firewall_rules *rules, const char *name, const char *key, bool at,
                      buf *out)
{
    auto_buf elements = {0};

    buf_printf(out, " map %s {\n  type %sinet_proto . inet_service : ipv4_addr . inet_service\n",
               name, key);
    if (write_ports(rules->ports, rules->n_ports, at, true, &elements))
        buf_printf(out, "  elements = { %s }\n", elements.data);
    buf_str(out, " }\n");
}

static void write_change(const char *verb, const char *table, const port_element *ports, size_t n,
                         bool targets, buf *out)
{
    for (int at = 0; at < 2; at++) {
        auto_buf elements = {0};

        if (write_ports(ports, n, at, targets, &elements))
            buf_printf(out, "%s element ip %s %s { %s }\n", verb, table,
                       at ? "published_at" : "published", elements.data);
    }
}

err *firewall_change_ports(const char *table, const port_element *gone, size_t n_gone,
                           const port_element *came, size_t n_came)
{
    auto_buf text = {0};

    write_change("delete", table, gone, n_gone, false, &text);
    write_change("add", table, came, n_came, true, &text);
    return text.len ? err_wrap(firewall_transaction(text.data), "failed to program the firewall")
                    : NULL;
}

/* ---- rules ---- */

/* translate: a port of the host is another name for a container's, for everyone who asks at an
 * address of the host, itself included.  Who is on the same bridge, or is the host by its loopback
 * address, appears with the bridge's address, or the answer would not come back the same way.  Of
 * IPv4 alone: to a published port of IPv6 the daemon carries.
 *
 * An address of the loopback is nobody's outside; of IPv6 the kernel sees to it. */
static const char translation4[] =
    " chain loopback {\n"
    "  type filter hook prerouting priority raw; policy accept;\n"
    "  iifname != \"lo\" ip daddr 127.0.0.0/8 counter drop\n"
    " }\n"
    " chain translate {\n"
    "  meta l4proto { tcp, udp, sctp } dnat ip to "
    "ip daddr . meta l4proto . th dport map @published_at\n"
    "  meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @published\n"
    " }\n"
    " chain prerouting {\n"
    "  type nat hook prerouting priority dstnat; policy accept;\n"
    "  fib daddr type local jump translate\n"
    " }\n"
    " chain output {\n"
    "  type nat hook output priority -100; policy accept;\n"
    "  fib daddr type local jump translate\n"
    " }\n";

static const family ipv4 = {
    .name = "ip",
    .address_type = "ipv4_addr",
    .translation = translation4,
    .loopback = "  ip saddr 127.0.0.0/8 oifname @bridges masquerade\n"
                "  ct status dnat ip saddr . oifname @homes masquerade\n",
};
static const family ipv6 = {
    .name = "ip6", .address_type = "ipv6_addr", .translation = "", .loopback = "", .v6 = true};

/* raw: an address of a bridge is reached from that bridge alone, or by the host itself.  A
 * published port is not: it is asked for at an address of the host and translated after this hook.
 * Where the host does not masquerade, answers come addressed to the container, so only the forward
 * rules guard.  inward: what may be forwarded to a bridge.  A bridge that is shut has no way out or
 * in, whatever routes are set behind it. */
static void write_chains(const family *f, bool no_router, buf *out)
{
    buf_printf(out,
               " chain raw {\n"
               "  type filter hook prerouting priority raw; policy accept;\n"
               "  %s daddr @masqueraded fib daddr type != local "
               "%s daddr . iifname != @homes counter drop\n"
               " }\n"
               " chain inward {\n"
               "  ct state established,related accept\n"
               "  ct status dnat accept\n"
               "  iifname . oifname @friends accept\n"
               "  counter drop\n"
               " }\n",
               f->name, f->name);
    buf_printf(out,
               " chain postrouting {\n"
               "  type nat hook postrouting priority srcnat; policy accept;\n"
               "%s"
               "  %s saddr @masqueraded %s saddr . oifname != @homes masquerade\n"
               " }\n",
               f->loopback, f->name, f->name);
    buf_printf(out,
               " chain forward {\n"
               "  type filter hook forward priority filter; policy %s;\n"
               "  iifname @shut iifname . oifname != @friends counter drop\n"
               "  oifname @shut iifname . oifname != @friends counter drop\n"
               "  oifname @bridges jump inward\n"
               "  iifname @bridges accept\n"
               " }\n",
               no_router ? "drop" : "accept");
}

static void write_table(const firewall_rules *rules, const family *f, buf *out)
{
    auto_free char *homes = xasprintf("%s . ifname; flags interval", f->address_type);
    auto_free char *subnets = xasprintf("%s; flags interval", f->address_type);

    buf_printf(out, "add table %s %s\ndelete table %s %s\ntable %s %s {\n", f->name, rules->table,
               f->name, rules->table, f->name, rules->table);
    write_set(rules, f, "bridges", "ifname", write_name, out);
    write_set(rules, f, "shut", "ifname", write_shut, out);
    write_set(rules, f, "friends", "ifname . ifname", write_pair, out);
    write_set(rules, f, "homes", homes, write_home, out);
    write_set(rules, f, "masqueraded", subnets, write_masqueraded, out);
    if (!f->v6) {
        write_map(rules, "published_at", "ipv4_addr . ", true, out);
        write_map(rules, "published", "", false, out);
    }
    buf_str(out, f->translation);
    write_chains(f, f->v6 ? rules->no_router6 : rules->no_router, out);
    buf_str(out, "}\n");
}

void firewall_write(const firewall_rules *rules, buf *out)
{
    if (rules->ipv4)
        write_table(rules, &ipv4, out);
    if (rules->ipv6)
        write_table(rules, &ipv6, out);
}

err *firewall_apply(const firewall_rules *rules)
{
    auto_buf text = {0};

    firewall_write(rules, &text);
    log_trace("network", "firewall written", "table", rules->table, "bridges", rules->n);
    return text.len ? err_wrap(firewall_transaction(text.data), "failed to program the firewall")
                    : NULL;
}

err *firewall_remove(const char *table)
{
    auto_free char *text = xasprintf("add table ip %s\ndelete table ip %s\n"
                                     "add table ip6 %s\ndelete table ip6 %s\n",
                                     table, table, table, table);

    return err_wrap(firewall_transaction(text), "failed to remove the firewall");
}
