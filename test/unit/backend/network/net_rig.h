/* net_rig.h - a private network for a test executable: a network and a mount namespace of its own,
 * a store in a directory of its own, and sockets in the containers' namespaces. */
#ifndef BERTH_TEST_NET_RIG_H
#define BERTH_TEST_NET_RIG_H

#include "link.h"
#include "private.h"
#include <arpa/inet.h>
#include <berth/events.h>
#include <berth/job.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netns.h>
#include <berth/network.h>
#include <berth/store.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char rig_dir[] = "/tmp/berth-net-XXXXXX";
static buf rig_events; /* "network connect ID container=c name=bridge type=bridge\n" */

#define assert_ok(call)                                   \
    do {                                                  \
        err *ok_e = (call);                               \
        if (ok_e)                                         \
            fail_msg("%s: %s", #call, err_message(ok_e)); \
    } while (0)

/* The room tells its events to this instead of to the daemon's listeners. */
void event_emit(const char *type, const char *action, const char *id, const json_map *attrs)
{
    buf_printf(&rig_events, "%s %s %s", type, action, id);
    for (size_t i = 0; attrs && i < attrs->n; i++)
        buf_printf(&rig_events, " %s=%s", attrs->keys[i], attrs->values[i]);
    buf_char(&rig_events, '\n');
}

static inline void assert_refused(err *e, err_class kind, const char *message)
{
    assert_non_null(e);
    assert_string_equal(err_message(e), message);
    assert_int_equal(err_kind(e), kind);
    err_free(e);
}

/* ---- the executable's own namespaces and directory ---- */

static inline bool rig_enter(void)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        printf("1..0 # skipped: namespaces need root\n");
        return false;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(rig_dir) ||
        mount("berth-net", rig_dir, "tmpfs", 0, NULL) < 0) {
        perror(rig_dir);
        exit(1);
    }
    return true;
}

/* The mount namespace ends with the process, and all that is mounted with it. */
static inline void rig_leave(void)
{
    buf_done(&rig_events);
    umount2(rig_dir, MNT_DETACH);
    rmdir(rig_dir);
}

static inline void on_rig_time(void *arg)
{
    (void)arg;
    loop_stop();
}

static inline void rig_turn(uint64_t ms)
{
    timer *t = timer_start("rig", ms, on_rig_time, NULL);

    loop_run();
    timer_stop(t);
}

static inline void rig_store_open(void)
{
    auto_free char *db = xasprintf("%s/state.db", rig_dir);
    bool rebuilt;

    assert_ok(store_open(db, &rebuilt));
    assert_false(rebuilt);
}

static inline void rig_begin(const network_opts *more)
{
    network_opts opts = more ? *more : (network_opts){NETWORK_OPTS_DEFAULT};

    opts.exec_root = rig_dir;
    assert_ok(loop_init());
    rig_store_open();
    assert_ok(network_init(&opts));
    rig_turn(30);
}

static inline void rig_end(void)
{
    for (int i = 0; i < 100 && (i < 3 || jobs_running() > 0); i++)
        rig_turn(10);
    network_done();
    store_close();
    loop_done();
}

static inline int rig_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    return at->level == 0 ? 0 : remove(path);
}

/* A host as before the first start. */
static inline void rig_wipe(void)
{
    auto_rtnl *r = NULL;

    assert_ok(rtnl_open(&r));
    assert_ok(link_delete(r, "docker0", 0));
    nftw(rig_dir, rig_remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* ---- containers ---- */

typedef struct box {
    char *netns;
    endpoint *ep;
} box;

static inline network *rig_network(const char *name)
{
    network *n = NULL;

    assert_ok(network_find(name, &n));
    return n;
}

static inline box box_new(const char *id)
{
    box b = {xasprintf("%s/netns/%s", rig_dir, id), NULL};

    assert_ok(netns_create(b.netns));
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = id}, &b.ep));
    assert_ok(endpoint_attach(b.ep, b.netns));
    return b;
}

static inline void box_free(box *b)
{
    assert_ok(endpoint_detach(b->ep, NULL));
    assert_ok(netns_remove(b->netns));
    endpoint_free(b->ep);
    free(b->netns);
}

/* ---- sockets: one keeps to the namespace in which it was made ---- */

/* How long a talk may take: longer than it takes to send a first packet again, but where silence is
 * expected. */
static int patience_ms = 3000;

static inline err *make_socket(void *ret_fd)
{
    struct timeval patience = {patience_ms / 1000, patience_ms % 1000 * 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    *(int *)ret_fd = fd;
    return NULL;
}

static inline int socket_in(const char *netns) /* NULL: the host's */
{
    int fd = -1;

    if (netns)
        assert_ok(netns_run(netns, make_socket, &fd));
    else
        assert_ok(make_socket(&fd));
    return fd;
}

static inline struct sockaddr_in at(const char *ip, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
    return a;
}

static inline int listen_in(const char *netns, int port)
{
    int fd = socket_in(netns), one = 1;
    struct sockaddr_in any = at("0.0.0.0", port);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* One word from a client in netns to the listener and back; false when they cannot talk.
 * ret_peer[16] is how the listener sees the client. */
static inline bool talk(int listener, const char *netns, const char *ip, int port, char *ret_peer)
{
    auto_close int client = socket_in(netns), accepted = -1;
    struct sockaddr_in to = at(ip, port), from = {0};
    socklen_t size = sizeof from;
    char word[5] = "";

    if (connect(client, (struct sockaddr *)&to, sizeof to) < 0)
        return false;
    accepted = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
    if (accepted < 0)
        return false;
    if (ret_peer)
        inet_ntop(AF_INET, &from.sin_addr, ret_peer, INET_ADDRSTRLEN);
    return write(client, "ping", 4) == 4 && read(accepted, word, 4) == 4 &&
           strcmp(word, "ping") == 0 && write(accepted, "pong", 4) == 4 &&
           read(client, word, 4) == 4 && strcmp(word, "pong") == 0;
}

/* ---- what is there ---- */

static inline size_t count_in(const char *dir)
{
    auto_closedir DIR *d = opendir(dir);
    size_t n = 0;

    for (struct dirent *entry; d && (entry = readdir(d));)
        n += entry->d_name[0] != '.';
    return n;
}

static inline size_t links_here(void)
{
    struct if_nameindex *all = if_nameindex();
    size_t n = 0;

    assert_non_null(all);
    while (all[n].if_index)
        n++;
    if_freenameindex(all);
    return n;
}

/* Waits for what the kernel does in its own time; at most two seconds. */
static inline bool links_become(size_t want)
{
    for (int i = 0; i < 1000 && links_here() != want; i++)
        rig_turn(10);
    return links_here() == want;
}

#endif
