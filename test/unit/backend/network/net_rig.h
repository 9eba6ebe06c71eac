/* net_rig.h - a private network for a test executable: its own network and mount namespace, a store
 * in a directory of its own, and the room's calls made the way the daemon makes them. */
#ifndef BERTH_TEST_NET_RIG_H
#define BERTH_TEST_NET_RIG_H

#include <berth/events.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netns.h>
#include <berth/network.h>
#include <berth/store.h>
#include <berth/str.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
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

static char rig_dir[64];

#define assert_ok(call)                                        \
    do {                                                       \
        err *ok_e = (call);                                    \
        if (ok_e) {                                            \
            print_error("%s: %s\n", #call, err_message(ok_e)); \
            err_free(ok_e);                                    \
            fail();                                            \
        }                                                      \
    } while (0)

static inline void assert_refused(err *e, err_class kind, const char *message)
{
    assert_non_null(e);
    assert_string_equal(err_message(e), message);
    assert_int_equal(err_kind(e), kind);
    err_free(e);
}

/* Skips everything (exit 77 is no failure) where the kernel does not let us. */
static inline void rig_enter(void)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        printf("1..0 # skipped: no namespaces of our own: needs root\n");
        exit(0);
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        exit(1);
    memcpy(rig_dir, "/tmp/berth-net-XXXXXX", sizeof "/tmp/berth-net-XXXXXX");
    if (!mkdtemp(rig_dir))
        exit(1);
}

#endif
