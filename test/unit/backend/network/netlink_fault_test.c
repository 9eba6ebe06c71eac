/* netlink_fault_test.c - every netlink request of an attach fails once: for a passing reason it is
 * repeated, for another all is taken back. */
#include "net_rig.h"
#include <dlfcn.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>

static int sent;    /* requests since the count began */
static int fail_at; /* the request, counted from 1, that fails; 0: none */
static int fail_times, fail_with;
static int dumps_to_break;

/* Stands before libnl's. */
int nl_send_sync(struct nl_sock *sock, struct nl_msg *msg)
{
    int (*real)(struct nl_sock *, struct nl_msg *);
    void *symbol = dlsym(RTLD_NEXT, "nl_send_sync");

    memcpy(&real, &symbol, sizeof real);
    sent++;
    if (fail_at && sent >= fail_at && sent < fail_at + fail_times) {
        nlmsg_free(msg);
        return -fail_with;
    }
    return real(sock, msg);
}

int rtnl_link_alloc_cache(struct nl_sock *sock, int family, struct nl_cache **ret)
{
    int (*real)(struct nl_sock *, int, struct nl_cache **);
    void *symbol = dlsym(RTLD_NEXT, "rtnl_link_alloc_cache");

    memcpy(&real, &symbol, sizeof real);
    if (dumps_to_break > 0) {
        dumps_to_break--;
        return -NLE_DUMP_INTR;
    }
    return real(sock, family, ret);
}

static void fail_once_at(int at_request, int times, int with)
{
    sent = 0;
    fail_at = at_request;
    fail_times = times;
    fail_with = with;
}

static int begin(void **state)
{
    (void)state;
    fail_once_at(0, 0, 0);
    rig_wipe();
    rig_begin(NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fail_once_at(0, 0, 0);
    rig_end();
    return 0;
}

/* On a host without a bridge; *ret_requests is how many it took. */
static err *attach_afresh(const char *netns, int *ret_requests)
{
    endpoint *ep = NULL;
    err *e;

    assert_ok(netns_create(netns));
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "x"}, &ep));
    e = endpoint_attach(ep, netns);
    *ret_requests = sent;
    fail_once_at(0, 0, 0);
    assert_true(links_become(e ? (if_nametoindex("docker0") ? 2 : 1) : 3));
    if (e) { /* and it can be tried again in the same place */
        assert_ok(endpoint_attach(ep, netns));
        assert_true(links_become(3));
    }
    assert_ok(endpoint_detach(ep, NULL));
    assert_ok(netns_remove(netns));
    endpoint_free(ep);
    assert_true(links_become(2));
    rig_wipe();
    return e;
}

static void test_every_request_refused_once(void **state)
{
    auto_free char *netns = xasprintf("%s/netns/x", rig_dir);
    int requests = 0, ignored;

    (void)state;
    fail_once_at(0, 0, 0);
    assert_ok(attach_afresh(netns, &requests));
    assert_in_range(requests, 7, 12); /* bridge, address, up; pair, address, up, route */
    for (int i = 1; i <= requests; i++) {
        err *e;

        fail_once_at(i, 1, NLE_PERM);
        e = attach_afresh(netns, &ignored);
        if (!e)
            fail_msg("request %d failed and nobody said so", i);
        assert_non_null(strstr(err_message(e), "Operation not permitted"));
        err_free(e);
    }
}

static void test_every_request_put_off(void **state)
{
    auto_free char *netns = xasprintf("%s/netns/x", rig_dir);
    int requests = 0, ignored;

    (void)state;
    fail_once_at(0, 0, 0);
    assert_ok(attach_afresh(netns, &requests));
    for (int i = 1; i <= requests; i++) {
        fail_once_at(i, 3, NLE_AGAIN);
        assert_ok(attach_afresh(netns, &ignored));
        assert_int_equal(ignored, requests + 3);
    }
    fail_once_at(1, 1000, NLE_NOMEM); /* no memory for messages, and that stays so: an end comes */
    {
        err *e = attach_afresh(netns, &ignored);

        assert_non_null(e);
        assert_int_equal(ignored, 5);
        err_free(e);
    }
}

static void test_a_list_that_changed_is_read_again(void **state)
{
    auto_rtnl *r = NULL;
    err *e;

    (void)state;
    assert_ok(rtnl_open(&r));
    dumps_to_break = 3;
    assert_ok(link_each_veth(r, 1, NULL, NULL));
    assert_int_equal(dumps_to_break, 0);
    dumps_to_break = 1000;
    e = link_each_veth(r, 1, NULL, NULL);
    assert_non_null(e);
    assert_int_equal(dumps_to_break, 995);
    dumps_to_break = 0;
    err_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_request_refused_once, begin, end),
        cmocka_unit_test_setup_teardown(test_every_request_put_off, begin, end),
        cmocka_unit_test_setup_teardown(test_a_list_that_changed_is_read_again, begin, end),
    };
    int rc;

    if (!rig_enter())
        return 0;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rig_leave();
    return rc;
}
