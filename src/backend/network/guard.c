/* guard.c - our firewall table comes back when someone removes it.
 *
 * A `nft flush ruleset` takes every table along, ours with its isolation too.  The kernel tells of
 * each change, and at the end of each transaction by whom it was; what others deleted of our table
 * is written anew after a short pause.  Loop thread only, except job_*. */
#include "firewall.h"
#include "private.h"
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <berth/watch.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SETTLE_MS = 100, RETRY_MS = 1000, READS_PER_TURN = 64, MESSAGE_MAX = 32 * 1024 };

static struct {
    int fd;
    watch *watch;
    timer *timer;
    bool on, missing, writing;
    bool doubt; /* something of ours was deleted in the transaction that is being told */
} guard;

static void on_settled(void *arg);

static void settle_in(uint64_t ms)
{
    if (guard.timer)
        timer_again(guard.timer, ms);
    else
        guard.timer = timer_start("network.guard", ms, on_settled, NULL);
}

static err *job_write(void *arg)
{
    (void)arg;
    return bridge_firewall();
}

static void on_written(void *arg, err *e)
{
    (void)arg;
    guard.writing = false;
    if (!guard.on) {
        err_free(e);
        return;
    }
    if (e) {
        err_log(e, "the firewall could not be restored");
        guard.missing = true;
    }
    if (guard.missing)
        settle_in(RETRY_MS);
}

static void on_settled(void *arg)
{
    (void)arg;
    if (!guard.missing || guard.writing)
        return;
    log_warn("firewall rules were removed by someone else and are restored", "table",
             network_here.table);
    guard.missing = false;
    guard.writing = true;
    job_begin("network.guard", job_write, NULL, on_written);
}

/* Attribute 1 of every nf_tables message names the table. */
static bool is_about_our_table(const struct nlmsghdr *h)
{
    const struct nfgenmsg *family = NLMSG_DATA(h);
    const struct nlattr *attr = (const void *)((const char *)family + NLMSG_ALIGN(sizeof *family));
    size_t want = strlen(network_here.table) + 1;

    if (h->nlmsg_len < NLMSG_LENGTH(NLMSG_ALIGN(sizeof *family)) + NLA_HDRLEN + want)
        return false;
    return (attr->nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME &&
           attr->nla_len == NLA_HDRLEN + want &&
           memcmp((const char *)attr + NLA_HDRLEN, network_here.table, want) == 0;
}

/* The end of a transaction: the name of the thread that made it. */
static bool is_by_us(const struct nlmsghdr *h)
{
    const char *at = (const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
    const char *end = (const char *)h + h->nlmsg_len;

    while (end - at >= NLA_HDRLEN) {
        const struct nlattr *attr = (const void *)at;

        if (attr->nla_len < NLA_HDRLEN || attr->nla_len > end - at)
            break;
        if ((attr->nla_type & NLA_TYPE_MASK) == NFTA_GEN_PROC_NAME)
            return attr->nla_len == NLA_HDRLEN + sizeof(FIREWALL_THREAD) &&
                   memcmp(at + NLA_HDRLEN, FIREWALL_THREAD, sizeof(FIREWALL_THREAD)) == 0;
        at += NLA_ALIGN(attr->nla_len);
    }
    return false;
}

static void hear(const struct nlmsghdr *h)
{
    if (h->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
        return;
    if ((h->nlmsg_type & 0xff) == NFT_MSG_NEWGEN) {
        guard.missing |= guard.doubt && !is_by_us(h);
        guard.doubt = false;
        return;
    }
    if (!is_about_our_table(h))
        return;
    switch (h->nlmsg_type & 0xff) {
    case NFT_MSG_NEWTABLE:
        guard.missing = guard.doubt = false;
        break;
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DELRULE:
    case NFT_MSG_DELSET:
    case NFT_MSG_DELSETELEM:
        guard.doubt = true;
        break;
    default:
        break;
    }
}

static void on_readable(void *arg, int events)
{
    static _Alignas(struct nlmsghdr) char message[MESSAGE_MAX];
    ssize_t n = 0;

    (void)arg;
    (void)events;
    for (int i = 0; i < READS_PER_TURN && (n = recv(guard.fd, message, sizeof message, 0)) > 0;
         i++) {
        size_t left = (size_t)n;

        for (struct nlmsghdr *h = (void *)message; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
            hear(h);
    }
    if (n < 0 && errno == ENOBUFS) /* what was missed may have been about us */
        guard.missing = true;
    if (guard.missing)
        settle_in(SETTLE_MS);
}

static int listen_to_nftables(void)
{
    auto_close int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    int group = NFNLGRP_NFTABLES;

    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return -1;
    return take_fd(&fd);
}

void guard_start(void)
{
    if (guard.on || (!network_here.iptables && !network_here.ip6tables))
        return;
    guard.fd = listen_to_nftables();
    if (guard.fd < 0) {
        log_warn("the firewall is not watched", "error", strerror(errno));
        return;
    }
    guard.on = true;
    guard.watch = watch_start("network.guard", guard.fd, WATCH_READ, on_readable, NULL);
}

void guard_stop(void)
{
    if (!guard.on)
        return;
    watch_stop(take(guard.watch));
    timer_stop(take(guard.timer));
    close(guard.fd);
    guard.on = guard.missing = false;
}
