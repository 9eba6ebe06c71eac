/* network_test.c - networks and endpoints on a real kernel, in a network namespace of our own. */
#include "net_rig.h"
#include "sysctl.h"
#include <pthread.h>

static int begin(void **state)
{
    (void)state;
    rig_wipe();
    buf_truncate(&rig_events, 0);
    rig_begin(NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_end();
    return 0;
}

static void test_found_by_name_id_and_prefix(void **state)
{
    network *n = rig_network("bridge"), *found = NULL;
    auto_free char *prefix = xstrndup(network_id(n), 12);

    (void)state;
    assert_string_equal(network_driver_name(n), "bridge");
    assert_string_equal(network_driver_name(rig_network("none")), "null");
    assert_string_equal(network_driver_name(rig_network("host")), "host");
    assert_false(network_has_netns(rig_network("host")));
    assert_true(network_has_netns(rig_network("none")));
    assert_ok(network_find(network_id(n), &found));
    assert_ptr_equal(found, n);
    assert_ok(network_find(prefix, &found));
    assert_ptr_equal(found, n);
    assert_string_equal(network_host_gateway(), "172.17.0.1");
    assert_refused(network_find("nope", &found), ERR_NOT_FOUND, "network nope not found");
    assert_refused(network_find("", &found), ERR_NOT_FOUND, "network  not found");
}

static void test_wishes_for_user_networks_are_refused(void **state)
{
    endpoint_ipam_config ipam_wish = {.ipv4_address = (char *)"172.17.0.9"};
    endpoint_settings address = {.ipam_config = &ipam_wish};
    endpoint_settings alias = {.aliases = {(char *[]){(char *)"db"}, 1, true}}, plain = {0};
    network *n = rig_network("bridge");

    (void)state;
    assert_null(network_check_settings(n, NULL));
    assert_null(network_check_settings(n, &plain));
    assert_refused(network_check_settings(n, &address), ERR_INVALID,
                   "invalid endpoint settings:\n"
                   "user specified IP address is supported on user defined networks only");
    assert_refused(
        network_check_settings(n, &alias), ERR_INVALID,
        "invalid endpoint settings:\n"
        "network-scoped alias is supported only for containers in user defined networks");
}

static void test_an_endpoint_says_what_it_is(void **state)
{
    auto_arena *a = arena_new();
    endpoint_settings s = {0};
    endpoint *ep = NULL, *other = NULL;
    network *n = rig_network("bridge");
    auto_free char *want =
        xasprintf("network connect %s container=c1 name=bridge type=bridge\n", network_id(n));

    (void)state;
    assert_ok(endpoint_new(n, &(endpoint_opts){.container_id = "c1"}, &ep));
    assert_ok(endpoint_new(n, &(endpoint_opts){.container_id = "c2", .mac = "02:00:00:00:00:0a"},
                           &other));
    endpoint_describe(ep, a, &s);
    assert_string_equal(s.ip_address, "172.17.0.2");
    assert_int_equal(s.ip_prefix_len, 16);
    assert_string_equal(s.gateway, "172.17.0.1");
    assert_string_equal(s.mac_address, "02:42:ac:11:00:02");
    assert_string_equal(s.network_id, network_id(n));
    assert_int_equal(strlen(s.endpoint_id), 64);
    assert_string_equal(endpoint_ip(other), "172.17.0.3");
    assert_string_equal(endpoint_mac(other), "02:00:00:00:00:0a");
    endpoint_event(ep, "connect");
    assert_string_equal(rig_events.data, want);
    assert_ptr_equal(endpoint_of("c2", NULL), other);
    assert_null(endpoint_of("c3", NULL));
    endpoint_free(ep);
    endpoint_free(other);
    assert_refused(
        endpoint_new(n, &(endpoint_opts){.container_id = "c", .mac = "02:00:00:00:00:0g"}, &ep),
        ERR_INVALID, "invalid MAC address: address 02:00:00:00:00:0g: invalid MAC address");
}

static void test_host_and_none_have_no_address(void **state)
{
    auto_free char *netns = xasprintf("%s/netns/lonely", rig_dir);
    static const char *const names[] = {"host", "none"};

    (void)state;
    assert_ok(netns_create(netns));
    for (size_t i = 0; i < COUNT(names); i++) {
        endpoint *ep = NULL;

        assert_ok(endpoint_new(rig_network(names[i]), &(endpoint_opts){.container_id = "c"}, &ep));
        assert_ok(endpoint_attach(ep, netns));
        assert_string_equal(endpoint_ip(ep), "");
        assert_string_equal(endpoint_mac(ep), "");
        assert_string_equal(endpoint_gateway(ep), "");
        assert_int_equal(endpoint_prefix_len(ep), 0);
        assert_ok(endpoint_detach(ep, NULL));
        endpoint_free(ep);
    }
    assert_int_equal(if_nametoindex("docker0"), 0); /* nobody needed it */
    {
        auto_close int listener = listen_in(netns, 7000); /* its loopback works */
        assert_true(talk(listener, netns, "127.0.0.1", 7000, NULL));
    }
    assert_ok(netns_remove(netns));
}

static void test_containers_and_host_talk_over_the_bridge(void **state)
{
    box a = box_new("a"), b = box_new("b");
    char peer[INET_ADDRSTRLEN];

    (void)state;
    {
        auto_close int in_a = listen_in(a.netns, 7001), on_host = listen_in(NULL, 7002);

        assert_true(talk(in_a, b.netns, endpoint_ip(a.ep), 7001, peer));
        assert_string_equal(peer, endpoint_ip(b.ep));
        assert_true(talk(in_a, NULL, endpoint_ip(a.ep), 7001, peer));
        assert_string_equal(peer, "172.17.0.1");
        assert_true(talk(on_host, b.netns, "172.17.0.1", 7002, peer));
        assert_string_equal(peer, endpoint_ip(b.ep));
    }
    box_free(&a);
    box_free(&b);
}

static err *read_ipv6(void *arg)
{
    static const char *const files[] = {"/proc/thread-self/net/if_inet6",
                                        "/proc/sys/net/ipv6/conf/eth0/accept_ra",
                                        "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"};
    buf *out = arg;

    for (size_t i = 0; i < COUNT(files); i++) {
        auto_close int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        char text[512];
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);

        buf_add(out, text, n > 0 ? (size_t)n : 0);
        buf_char(out, ';');
    }
    return NULL;
}

static void test_no_ipv6_on_a_link_with_ipv4_alone(void **state)
{
    box a = box_new("a");
    auto_buf seen = {0};

    (void)state;
    assert_ok(netns_run(a.netns, read_ipv6, &seen));
    if (access("/proc/sys/net/ipv6", F_OK) == 0)
        assert_string_equal(seen.data, ";0\n;1\n;");
    else
        assert_string_equal(seen.data, ";;;");
    if (access("/proc/sys/net/ipv6", F_OK) ==
        0) { /* the host's side believes no advertisement either */
        bool on = true;

        assert_ok(sysctl_is_set("ipv6/conf/docker0/accept_ra", &on));
        assert_false(on);
        assert_ok(sysctl_is_set("ipv6/conf/docker0/disable_ipv6", &on));
        assert_true(on);
    }
    box_free(&a);
}

static void test_a_detached_container_is_silent_at_once(void **state)
{
    box a = box_new("a"), b = box_new("b");
    auto_close int in_a = listen_in(a.netns, 7003);

    (void)state;
    assert_true(talk(in_a, b.netns, endpoint_ip(a.ep), 7003, NULL));
    assert_ok(endpoint_detach(a.ep, NULL));
    assert_false(talk(in_a, b.netns, endpoint_ip(a.ep), 7003, NULL));
    assert_ok(endpoint_detach(a.ep, NULL)); /* nothing there */
    box_free(&a);                           /* its namespace lives on in in_a */
    box_free(&b);
    rig_turn(1500);
    assert_true(links_become(2)); /* lo and the bridge: the pair is deleted all the same */
}

static void test_an_address_is_reached_at_its_next_owner(void **state)
{
    (void)state;
    box b = box_new("b");
    for (int i = 0; i < 5; i++) {
        box a = box_new("a");
        auto_close int in_a = listen_in(a.netns, 7004);

        assert_string_equal(endpoint_ip(a.ep), "172.17.0.3");
        assert_true(talk(in_a, b.netns, endpoint_ip(a.ep), 7004, NULL));
        assert_true(talk(in_a, NULL, endpoint_ip(a.ep), 7004, NULL));
        box_free(&a);
    }
    box_free(&b);
}

static void test_a_failed_attach_leaves_nothing(void **state)
{
    box a = box_new("a");
    size_t links = links_here();
    endpoint *ep = NULL;
    auto_free char *missing = xasprintf("%s/netns/missing", rig_dir),
                   *file = xasprintf("%s/file", rig_dir);
    err *e;

    (void)state;
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "x"}, &ep));
    e = endpoint_attach(ep, missing);
    assert_int_equal(err_errnum(e), ENOENT);
    err_free(e);
    close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    e = endpoint_attach(ep, file); /* no namespace */
    assert_int_equal(err_errnum(e), EINVAL);
    err_free(e);
    e = endpoint_attach(ep, a.netns); /* has an eth0 */
    assert_int_equal(err_errnum(e), EEXIST);
    err_free(e);
    assert_true(links_become(links));
    assert_ok(endpoint_detach(ep, NULL));
    endpoint_free(ep);
    box_free(&a);
}

static void test_a_foreign_link_of_the_same_name_is_not_touched(void **state)
{
    auto_rtnl *r = NULL;
    auto_free char *netns = xasprintf("%s/netns/x", rig_dir);
    endpoint *ep = NULL;
    err *e;

    (void)state;
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "x"}, &ep));
    assert_ok(netns_create(netns));
    assert_ok(rtnl_open(&r));
    assert_ok(link_add_bridge(r, ep->veth, (const uint8_t[6]){2, 0, 0, 0, 0, 1}, 1500, 0));
    e = endpoint_attach(ep, netns);
    assert_int_equal(err_errnum(e), EEXIST);
    err_free(e);
    assert_ok(endpoint_detach(ep, NULL));
    assert_int_not_equal(if_nametoindex(ep->veth), 0);
    assert_ok(link_delete(r, ep->veth, 0));
    assert_ok(endpoint_attach(ep, netns));
    assert_ok(endpoint_detach(ep, NULL));
    assert_ok(endpoint_attach(ep, netns)); /* at once again, under the same name */
    assert_ok(endpoint_detach(ep, NULL));
    assert_ok(netns_remove(netns));
    endpoint_free(ep);
}

static void test_the_bridge_comes_back(void **state)
{
    box a = box_new("a");
    auto_rtnl *r = NULL;

    (void)state;
    assert_ok(rtnl_open(&r));
    assert_ok(link_delete(r, "docker0", 0));
    box b = box_new("b"), c = box_new("c");
    auto_close int in_b = listen_in(b.netns, 7005);
    assert_true(talk(in_b, c.netns, endpoint_ip(b.ep), 7005, NULL));
    box_free(&a);
    box_free(&b);
    box_free(&c);
}

static void test_a_route_in_the_way_is_named(void **state)
{
    auto_rtnl *r = NULL;
    auto_free char *netns = xasprintf("%s/netns/x", rig_dir);
    endpoint *ep = NULL;
    subnet s;
    uint32_t ip;

    (void)state;
    assert_true(subnet_parse("172.17.4.1/24", &ip, &s));
    assert_ok(rtnl_open(&r));
    assert_ok(link_add_bridge(r, "vpn0", (const uint8_t[6]){2, 0, 0, 0, 0, 2}, 1500, 0));
    assert_ok(addr_add(r, (int)if_nametoindex("vpn0"), ip, s));
    assert_ok(link_set_up(r, (int)if_nametoindex("vpn0")));
    assert_ok(netns_create(netns));
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "x"}, &ep));
    assert_refused(endpoint_attach(ep, netns), ERR_FORBIDDEN,
                   "failed to set up network bridge docker0: the subnet 172.17.0.0/16 of docker0 "
                   "overlaps with the "
                   "host's route to 172.17.4.0/24");
    assert_int_equal(if_nametoindex("docker0"), 0);
    assert_ok(link_delete(r, "vpn0", 0));
    assert_ok(netns_remove(netns));
    endpoint_free(ep);
}

static void test_many_cycles_leave_all_as_before(void **state)
{
    auto_free char *dir = xasprintf("%s/netns", rig_dir);
    box first = box_new("first");
    size_t links, fds;

    (void)state;
    box_free(&first);
    assert_true(links_become(2));
    rig_turn(50);
    links = links_here();
    fds = count_in("/proc/self/fd");
    for (int i = 0; i < 200; i++) {
        box a = box_new("a");

        assert_string_equal(endpoint_ip(a.ep), "172.17.0.2");
        box_free(&a);
    }
    assert_true(links_become(links));
    rig_turn(50);
    assert_int_equal(count_in("/proc/self/fd"), fds);
    assert_int_equal(count_in(dir), 0);
    assert_null(endpoints_first());
}

enum { AT_ONCE = 8 };

static void *attach_and_detach(void *arg)
{
    box *b = arg;
    err *e = netns_create(b->netns);

    for (int i = 0; i < 5 && !e; i++) {
        e = endpoint_attach(b->ep, b->netns);
        if (!e && i < 4)
            e = endpoint_detach(b->ep, NULL);
    }
    return e;
}

/* The first ones come together, and the bridge and the firewall are made once. */
static void test_several_at_once(void **state)
{
    box boxes[AT_ONCE];
    pthread_t threads[AT_ONCE];

    (void)state;
    for (size_t i = 0; i < AT_ONCE; i++) {
        auto_free char *id = xasprintf("c%zu", i);

        boxes[i].netns = xasprintf("%s/netns/%s", rig_dir, id);
        assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = id},
                               &boxes[i].ep));
    }
    for (size_t i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, attach_and_detach, &boxes[i]), 0);
    for (size_t i = 0; i < AT_ONCE; i++) {
        void *e = NULL;

        assert_int_equal(pthread_join(threads[i], &e), 0);
        assert_ok(e);
    }
    {
        auto_close int in_first = listen_in(boxes[0].netns, 7007);

        for (size_t i = 1; i < AT_ONCE; i++)
            assert_true(talk(in_first, boxes[i].netns, endpoint_ip(boxes[0].ep), 7007, NULL));
    }
    for (size_t i = 0; i < AT_ONCE; i++)
        box_free(&boxes[i]);
    assert_true(links_become(2));
}

static bool keeps_b(void *arg, const char *container)
{
    (void)arg;
    return str_eq(container, "b");
}

/* A kill -9 in the midst: memory is gone, the store and the kernel are not. */
static void test_a_new_daemon_knows_and_sweeps(void **state)
{
    auto_free char *id = xstrdup(network_id(rig_network("bridge"))),
                   *dir = xasprintf("%s/netns", rig_dir);
    auto_rtnl *r = NULL;
    box a = box_new("a"), b = box_new("b");
    auto_free char *veth = xstrdup(b.ep->veth);
    endpoint *ep = NULL;

    (void)state;
    rig_end();
    rig_begin(NULL);
    assert_string_equal(network_id(rig_network("bridge")), id);
    assert_non_null(endpoint_of("a", NULL));
    b.ep = endpoint_of("b", NULL);
    assert_non_null(b.ep);
    assert_string_equal(endpoint_ip(b.ep), "172.17.0.3");
    assert_string_equal(endpoint_mac(b.ep), "02:42:ac:11:00:03");
    assert_string_equal(endpoint_gateway(b.ep), "172.17.0.1");
    assert_string_equal(b.ep->veth, veth);
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "c"}, &ep));
    assert_string_equal(endpoint_ip(ep), "172.17.0.4"); /* .2 and .3 are known to be taken */
    endpoint_free(ep);
    assert_ok(rtnl_open(&r)); /* someone else's */
    assert_ok(link_add_bridge(r, "veth1234567", (const uint8_t[6]){2, 0, 0, 0, 0, 3}, 1500, 0));
    assert_ok(network_sweep_run(network_sweep_plan(keeps_b, NULL)));
    assert_null(endpoint_of("a", NULL));
    assert_int_equal(count_in(dir), 1);
    assert_true(links_become(4)); /* lo, docker0, b's and the foreign one */
    assert_int_not_equal(if_nametoindex(veth), 0);
    assert_ok(link_delete(r, "veth1234567", 0));
    {
        auto_close int in_b = listen_in(b.netns, 7006);
        assert_true(talk(in_b, NULL, "172.17.0.3", 7006, NULL));
    }
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "c"}, &ep));
    assert_string_equal(endpoint_ip(ep), "172.17.0.2");
    endpoint_free(ep);
    free(a.netns);
    box_free(&b);
}

static void test_a_spoiled_record_is_left_out(void **state)
{
    static const char *const bodies[] = {"", "{", "{}", "[]", "{\"Id\":\"short\"}", "{\"Id\":5}"};
    store_batch *batch = store_batch_new();
    auto_free char *records = xasprintf("%s/endpoints", rig_dir);

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        auto_free char *key = xasprintf("k%zu", i);

        store_put(batch, "networks", key, bodies[i]);
    }
    store_commit_lazy(batch);
    assert_true(mkdir(records, 0700) == 0 || errno == EEXIST);
    for (size_t i = 0; i < COUNT(bodies); i++) {
        auto_free char *path = xasprintf("%s/%064zu", records, i);
        auto_close int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        assert_int_equal(write(fd, bodies[i], strlen(bodies[i])), strlen(bodies[i]));
    }
    rig_end();
    rig_begin(NULL);
    assert_int_equal(count_in(records), 0);
    assert_null(endpoints_first());
    assert_string_equal(network_name(rig_network("bridge")), "bridge");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_by_name_id_and_prefix, begin, end),
        cmocka_unit_test_setup_teardown(test_wishes_for_user_networks_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_an_endpoint_says_what_it_is, begin, end),
        cmocka_unit_test_setup_teardown(test_host_and_none_have_no_address, begin, end),
        cmocka_unit_test_setup_teardown(test_containers_and_host_talk_over_the_bridge, begin, end),
        cmocka_unit_test_setup_teardown(test_no_ipv6_on_a_link_with_ipv4_alone, begin, end),
        cmocka_unit_test_setup_teardown(test_a_detached_container_is_silent_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_an_address_is_reached_at_its_next_owner, begin, end),
        cmocka_unit_test_setup_teardown(test_a_failed_attach_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_a_foreign_link_of_the_same_name_is_not_touched, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_the_bridge_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(test_a_route_in_the_way_is_named, begin, end),
        cmocka_unit_test_setup_teardown(test_many_cycles_leave_all_as_before, begin, end),
        cmocka_unit_test_setup_teardown(test_several_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_a_new_daemon_knows_and_sweeps, begin, end),
        cmocka_unit_test_setup_teardown(test_a_spoiled_record_is_left_out, begin, end),
    };
    int rc;

    if (!rig_enter())
        return 0;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rig_leave();
    return rc;
}
