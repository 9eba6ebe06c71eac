/* bridge_test.c - how the daemon's options become a bridge. */
#include "net_rig.h"

static network_opts with(void)
{
    default_pools_set(NULL, 0, 0x0123456789abcdef);
    return (network_opts){NETWORK_OPTS_DEFAULT};
}

static void refused(const network_opts *opts, err_class kind, const char *message)
{
    bridge_config b;

    assert_refused(bridge_configure(opts, NULL, &b), kind, message);
}

static void is_ip_of(uint32_t ip, const char *want)
{
    char text[IP_TEXT];

    ip_format(ip, text);
    assert_string_equal(text, want);
}

static void test_defaults(void **state)
{
    network_opts opts = with();
    bridge_config b;

    (void)state;
    assert_ok(bridge_configure(&opts, NULL, &b));
    assert_string_equal(b.name, "docker0");
    assert_true(b.ours && b.icc && b.masquerade);
    assert_int_equal(b.mtu, 1500);
    is_ip_of(b.subnet.base, "172.17.0.0");
    is_ip_of(b.address, "172.17.0.1");
    is_ip_of(b.gateway, "172.17.0.1");
    opts.iptables = false;
    opts.mtu = 1400;
    assert_ok(bridge_configure(&opts, NULL, &b));
    assert_false(b.masquerade);
    assert_int_equal(b.mtu, 1400);
}

static void test_bip_and_its_parts(void **state)
{
    network_opts opts = with();
    bridge_config b;

    (void)state;
    opts.bip = "10.20.0.5/16";
    opts.fixed_cidr = "10.20.8.0/24";
    opts.default_gateway = "10.20.0.254";
    assert_ok(bridge_configure(&opts, "172.19.0.0/16", &b));
    is_ip_of(b.subnet.base, "10.20.0.0");
    is_ip_of(b.address, "10.20.0.5");
    is_ip_of(b.range.base, "10.20.8.0");
    assert_int_equal(b.range.prefix, 24);
    is_ip_of(b.gateway, "10.20.0.254");
}

static void test_what_cannot_be(void **state)
{
    network_opts opts = with();

    (void)state;
    opts.bip = "10.20.0.0/16";
    refused(&opts, ERR_INVALID, "invalid CIDR address: 10.20.0.0/16");
    opts.bip = "10.20.0.1";
    refused(&opts, ERR_INVALID, "invalid CIDR address: 10.20.0.1");
    opts.bip = "10.20.0.1/16";
    opts.fixed_cidr = "10.21.0.0/24";
    refused(&opts, ERR_INVALID,
            "fixed-cidr 10.21.0.0/24 is not within the subnet of bridge docker0");
    opts.fixed_cidr = "10.0.0.0/8";
    refused(&opts, ERR_INVALID, "fixed-cidr 10.0.0.0/8 is not within the subnet of bridge docker0");
    opts.fixed_cidr = NULL;
    opts.default_gateway = "10.21.0.1";
    refused(&opts, ERR_INVALID,
            "default gateway 10.21.0.1 is not within the subnet of bridge docker0");
    opts.bridge = "br9";
    refused(&opts, ERR_INVALID,
            "You specified -b & --bip, mutually exclusive options. Please specify only one");
    opts = with();
    opts.bridge = "br9";
    refused(&opts, ERR_SYSTEM, "bridge device with non default name br9 must be created manually");
    opts.bridge = "br\"; flush ruleset";
    refused(&opts, ERR_INVALID, "invalid name of a bridge: br\"; flush ruleset");
    opts.bridge = "0123456789abcdef";
    refused(&opts, ERR_INVALID, "invalid name of a bridge: 0123456789abcdef");
    opts = with();
    opts.mtu = -1;
    refused(&opts, ERR_INVALID, "invalid default MTU: -1");
    opts = with();
    opts.iptables = opts.icc = false;
    refused(&opts, ERR_INVALID,
            "You specified --iptables=false with --icc=false. ICC=false uses iptables to function. "
            "Please set --icc or "
            "--iptables to true");
}

static void is_cidr_of(cidr c, const char *want)
{
    char text[CIDR_TEXT];

    cidr_format(c, text);
    assert_string_equal(text, want);
}

static void test_ipv6_where_it_is_asked_for(void **state)
{
    network_opts opts = with();
    char text[ADDR_TEXT];
    bridge_config b;

    (void)state;
    opts.bip = "10.20.0.1/16";
    opts.bip6 = "fd00:9::1/64"; /* alone it asks for nothing */
    assert_ok(bridge_configure(&opts, NULL, &b));
    assert_false(addr_is_set(b.subnet6.base));
    opts.ipv6 = true;
    opts.fixed_cidr_v6 = "fd00:9::4:0/112";
    opts.default_gateway_v6 = "fd00:9::99";
    assert_ok(bridge_configure(&opts, NULL, &b));
    is_cidr_of(b.subnet6, "fd00:9::/64");
    is_cidr_of(b.range6, "fd00:9::4:0/112");
    addr_format(b.address6, text);
    assert_string_equal(text, "fd00:9::1");
    addr_format(b.gateway6, text);
    assert_string_equal(text, "fd00:9::99");
    opts.default_gateway_v6 = "fd00:8::99";
    refused(&opts, ERR_INVALID,
            "default gateway fd00:8::99 is not within the subnet of bridge docker0");
    opts.default_gateway_v6 = NULL;
    opts.fixed_cidr_v6 = "fd00:8::/80";
    refused(&opts, ERR_INVALID,
            "fixed-cidr-v6 fd00:8::/80 is not within the subnet of bridge docker0");
    opts.bip6 = "10.0.0.1/8";
    refused(&opts, ERR_INVALID, "invalid CIDR address: 10.0.0.1/8");
    opts.bip6 = opts.fixed_cidr_v6 = NULL;
    assert_ok(bridge_configure(&opts, NULL, &b));
    is_cidr_of(b.subnet6, "fd67:89ab:cdef::/64");
}

static void test_pools_of_ones_own(void **state)
{
    static const network_default_pool good[] = {{(char *)"10.9.0.0/23", 24},
                                                {(char *)"fd00:9::/48", 64}};
    static const network_default_pool bad[] = {{(char *)"10.9.0.0/23", 22},
                                               {(char *)"10.9.0.0/23", 31},
                                               {(char *)"10.9.0.0", 24},
                                               {NULL, 24}};
    cidr c;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(network_default_pool_is_good(&good[i]));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(network_default_pool_is_good(&bad[i]));
    default_pools_set(good, COUNT(good), 1);
    assert_true(default_pool_nth(false, 1, &c));
    is_cidr_of(c, "10.9.1.0/24");
    assert_false(default_pool_nth(false, 2, &c));
    assert_true(default_pool_nth(true, 1, &c));
    is_cidr_of(c, "fd00:9:0:1::/64");
    default_pools_set(NULL, 0, 1);
    assert_true(default_pool_nth(false, 14, &c));
    is_cidr_of(c, "172.31.0.0/16");
    assert_true(default_pool_nth(false, 15, &c));
    is_cidr_of(c, "192.168.0.0/20");
    assert_true(default_pool_nth(false, 30, &c));
    is_cidr_of(c, "192.168.240.0/20");
    assert_false(default_pool_nth(false, 31, &c));
}

/* What is on the host decides, then what was chosen the last time. */
static void test_subnet_follows_the_host(void **state)
{
    network_opts opts = with();
    auto_rtnl *r = NULL;
    bridge_config b;

    (void)state;
    assert_ok(bridge_configure(&opts, "172.25.0.0/16", &b));
    is_ip_of(b.address, "172.25.0.1");
    assert_ok(bridge_configure(&opts, "nonsense", &b));
    is_ip_of(b.address, "172.17.0.1");

    assert_ok(rtnl_open(&r));
    assert_ok(link_add_bridge(r, "lan0", (const uint8_t[6]){2, 0, 0, 0, 0, 1}, 1500, 0));
    assert_ok(addr_add(r, (int)if_nametoindex("lan0"), 0xac110505,
                       (subnet){0xac110500, 24})); /* 172.17.5.5/24 */
    assert_ok(link_set_up(r, (int)if_nametoindex("lan0")));
    assert_ok(bridge_configure(&opts, "172.17.0.0/16", &b));
    is_ip_of(b.address, "172.18.0.1");

    opts.bridge = "lan0"; /* a bridge of the user's, with its own address */
    assert_ok(bridge_configure(&opts, "172.25.0.0/16", &b));
    assert_false(b.ours);
    is_ip_of(b.address, "172.17.5.5");
    is_ip_of(b.subnet.base, "172.17.5.0");
    assert_int_equal(b.subnet.prefix, 24);
    assert_ok(link_delete(r, "lan0", 0));
}

static void test_another_bip_replaces_the_address(void **state)
{
    network_opts opts = with();
    auto_rtnl *r = NULL;
    bool found = false;
    subnet s;
    uint32_t ip;

    (void)state;
    assert_ok(rtnl_open(&r));
    for (int i = 0; i < 2; i++) {
        opts.bip = i == 0 ? "10.21.0.1/16" : "10.22.0.1/24";
        rig_begin(&opts);
        box a = box_new("a");
        auto_close int in_a = listen_in(a.netns, 7200);

        assert_string_equal(endpoint_ip(a.ep), i == 0 ? "10.21.0.2" : "10.22.0.2");
        assert_true(talk(in_a, NULL, endpoint_ip(a.ep), 7200, NULL));
        assert_ok(addr_first(r, (int)if_nametoindex("docker0"), &ip, &s, &found));
        assert_true(found);
        is_ip_of(ip, i == 0 ? "10.21.0.1" : "10.22.0.1");
        box_free(&a);
        rig_end();
    }
    rig_wipe();
}

static void test_the_pool_can_run_out(void **state)
{
    network_opts opts = with();
    endpoint *ep[2];
    auto_free char *want = NULL;

    (void)state;
    opts.bip = "10.20.0.1/16";
    opts.fixed_cidr = "10.20.0.0/30"; /* .0 is the network, .1 the bridge: two are left */
    rig_begin(&opts);
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "a"}, &ep[0]));
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "b"}, &ep[1]));
    assert_string_equal(endpoint_ip(ep[0]), "10.20.0.2");
    assert_string_equal(endpoint_ip(ep[1]), "10.20.0.3");
    want = xasprintf("no available IPv4 addresses on this network's address pools: bridge (%s)",
                     network_id(rig_network("bridge")));
    endpoint_free(ep[0]);
    assert_ok(endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "c"}, &ep[0]));
    {
        endpoint *none = NULL;
        assert_refused(
            endpoint_new(rig_network("bridge"), &(endpoint_opts){.container_id = "d"}, &none),
            ERR_SYSTEM, want);
        assert_null(none);
    }
    endpoint_free(ep[0]);
    endpoint_free(ep[1]);
    rig_end();
    rig_wipe();
}

static void test_no_bridge_at_all(void **state)
{
    network_opts opts = with();
    network *n = NULL;

    (void)state;
    opts.bridge = "none";
    rig_begin(&opts);
    assert_refused(network_find("bridge", &n), ERR_NOT_FOUND, "network bridge not found");
    assert_ok(network_find("none", &n));
    assert_string_equal(network_host_gateway(), "");
    rig_end();
    rig_wipe();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bip_and_its_parts),
        cmocka_unit_test(test_what_cannot_be),
        cmocka_unit_test(test_ipv6_where_it_is_asked_for),
        cmocka_unit_test(test_pools_of_ones_own),
        cmocka_unit_test(test_subnet_follows_the_host),
        cmocka_unit_test(test_another_bip_replaces_the_address),
        cmocka_unit_test(test_the_pool_can_run_out),
        cmocka_unit_test(test_no_bridge_at_all),
    };
    int rc;

    if (!rig_enter())
        return 0;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    default_pools_done();
    rig_leave();
    return rc;
}
