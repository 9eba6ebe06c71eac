/* firewall_test.c - what the rules let through and what not, with real packets; and that they come
 * back. */
#include "firewall.h"
#include "net_rig.h"
#include "sysctl.h"
#include <berth/log.h>
#include <nftables/libnftables.h>

/* Runs a command of nft; the caller frees what it prints, JSON where asked. */
static char *nft(const char *command, bool json)
{
    struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    char *text;

    assert_non_null(ctx);
    nft_ctx_buffer_output(ctx);
    nft_ctx_buffer_error(ctx);
    if (json)
        nft_ctx_output_set_flags(ctx, NFT_CTX_OUTPUT_JSON);
    if (nft_run_cmd_from_buffer(ctx, command) != 0)
        text = xstrdup("");
    else
        text = xstrdup(nft_ctx_get_output_buffer(ctx));
    nft_ctx_free(ctx);
    return text;
}

static bool table_has(const char *what)
{
    auto_free char *command = xasprintf("list table ip %s", network_here.table);
    auto_free char *text = nft(command, false);

    return strstr(text, what) != NULL;
}

static void begin_with(const network_opts *opts, const char *forwarding)
{
    free(nft("flush ruleset", false));
    rig_wipe();
    assert_ok(sysctl_set("ipv4/ip_forward", forwarding));
    rig_begin(opts);
}

static int begin(void **state)
{
    (void)state;
    begin_with(NULL, "0");
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_end();
    return 0;
}

/* ---- a neighbour of the host: 10.99.0.2, which sends everything to the host, 10.99.0.1 ---- */

typedef struct outside {
    char *netns;
    rtnl *here;
} outside;

static err *furnish_outside(void *arg)
{
    auto_rtnl *r = NULL;
    int index;

    (void)arg;
    TRY(rtnl_open(&r));
    index = (int)if_nametoindex("eth0");
    TRY(addr_add(r, index, 0x0a630002, (subnet){0x0a630000, 24}));
    TRY(link_set_up(r, index));
    return default_route_set(r, index, addr_v4(0x0a630001), false);
}

static outside outside_new(void)
{
    outside o = {.netns = xasprintf("%s/outside", rig_dir)};
    veth_wish w = {
        .name = "up0", .peer = "eth0", .mac = (const uint8_t[6]){2, 0, 0, 0, 0, 9}, .mtu = 1500};
    int up;

    assert_ok(netns_create(o.netns));
    w.peer_ns = open(o.netns, O_RDONLY | O_CLOEXEC);
    assert_ok(rtnl_open(&o.here));
    assert_ok(link_add_veth(o.here, &w));
    close(w.peer_ns);
    up = (int)if_nametoindex("up0");
    assert_ok(addr_add(o.here, up, 0x0a630001, (subnet){0x0a630000, 24}));
    assert_ok(netns_run(o.netns, furnish_outside, NULL));
    return o;
}

static void outside_free(outside *o)
{
    assert_ok(link_delete(o->here, "up0", 0));
    assert_ok(netns_remove(o->netns));
    rtnl_close(o->here);
    free(o->netns);
}

/* ---- tests ---- */

static void test_the_rules_are_there(void **state)
{
    auto_free char *command = NULL, *json = NULL;
    box a = box_new("a");

    (void)state;
    command = xasprintf("list table ip %s", network_here.table);
    json = nft(command, true);
    assert_non_null(strstr(json, "\"masquerade\": null"));
    assert_non_null(strstr(json, "{\"prefix\": {\"addr\": \"172.17.0.0\", \"len\": 16}}"));
    assert_non_null(strstr(json, "\"name\": \"postrouting\", \"handle\": "));
    assert_non_null(strstr(json, "\"type\": \"nat\", \"hook\": \"postrouting\", \"prio\": 100"));
    assert_non_null(strstr(json, "\"type\": \"filter\", \"hook\": \"prerouting\", \"prio\": -300"));
    assert_non_null(strstr(
        json, "\"type\": \"filter\", \"hook\": \"forward\", \"prio\": 0, \"policy\": \"drop\""));
    box_free(&a);
}

static void test_out_yes_by_the_host_address(void **state)
{
    box a = box_new("a");
    outside o = outside_new();
    char peer[INET_ADDRSTRLEN];

    (void)state;
    {
        auto_close int there = listen_in(o.netns, 7100);

        assert_true(talk(there, a.netns, "10.99.0.2", 7100, peer));
        assert_string_equal(peer, "10.99.0.1");
    }
    outside_free(&o);
    box_free(&a);
}

static void test_in_no_by_a_route(void **state)
{
    box a = box_new("a");
    outside o = outside_new();

    (void)state;
    {
        auto_close int in_a = listen_in(a.netns, 7101), on_host = listen_in(NULL, 7102);

        assert_true(table_has("counter packets 0 bytes 0 drop"));
        patience_ms = 400; /* one packet */
        assert_false(talk(in_a, o.netns, endpoint_ip(a.ep), 7101, NULL));
        patience_ms = 3000;
        assert_true(talk(in_a, NULL, endpoint_ip(a.ep), 7101, NULL));
        assert_true(
            talk(on_host, o.netns, "10.99.0.1", 7102, NULL)); /* the host itself stays reachable */
        assert_true(talk(on_host, o.netns, "172.17.0.1", 7102, NULL));
        assert_true(table_has("!= @homes counter packets 1 bytes 60 drop"));
    }
    outside_free(&o);
    box_free(&a);
}

/* Without masquerading answers come addressed to the container, but nothing may begin from outside.
 */
static void test_without_masquerade(void **state)
{
    network_opts opts = {NETWORK_OPTS_DEFAULT};
    char peer[INET_ADDRSTRLEN];

    (void)state;
    opts.ip_masq = false;
    begin_with(&opts, "1");
    box a = box_new("a");
    outside o = outside_new();
    {
        auto_close int there = listen_in(o.netns, 7103), in_a = listen_in(a.netns, 7104);

        assert_true(talk(there, a.netns, "10.99.0.2", 7103, peer));
        assert_string_equal(peer, endpoint_ip(a.ep));
        assert_false(talk(in_a, o.netns, endpoint_ip(a.ep), 7104, NULL));
    }
    assert_true(table_has("hook forward priority filter; policy accept"));
    outside_free(&o);
    box_free(&a);
}

/* Someone switched it off while containers ran: the next one switches it on again. */
static void test_forwarding_comes_back(void **state)
{
    box a = box_new("a");
    outside o = outside_new();

    (void)state;
    assert_ok(sysctl_set("ipv4/ip_forward", "0"));
    box b = box_new("b");
    {
        auto_close int there = listen_in(o.netns, 7107);

        assert_true(talk(there, b.netns, "10.99.0.2", 7107, NULL));
        assert_true(talk(there, a.netns, "10.99.0.2", 7107, NULL));
    }
    outside_free(&o);
    box_free(&a);
    box_free(&b);
}

/* The host was no router before us, and is none for others because of us. */
static void test_no_router_for_others(void **state)
{
    box a = box_new("a");
    outside o = outside_new();
    bool on = false;
    (void)state;
    assert_ok(sysctl_is_set("ipv4/ip_forward", &on));
    assert_true(on);
    assert_true(table_has("hook forward priority filter; policy drop"));
    rig_end();
    rig_begin(NULL); /* still so with the next daemon */
    a.ep = endpoint_of("a", NULL);
    assert_non_null(a.ep);
    rig_turn(100);
    assert_true(table_has("hook forward priority filter; policy drop"));
    outside_free(&o);
    box_free(&a);
}

static void test_containers_apart_without_icc(void **state)
{
    network_opts opts = {NETWORK_OPTS_DEFAULT};

    (void)state;
    opts.icc = false;
    begin_with(&opts, "1");
    box a = box_new("a"), b = box_new("b");
    outside o = outside_new();
    {
        auto_close int in_a = listen_in(a.netns, 7105), there = listen_in(o.netns, 7106);

        assert_false(talk(in_a, b.netns, endpoint_ip(a.ep), 7105, NULL));
        assert_true(talk(in_a, NULL, endpoint_ip(a.ep), 7105, NULL));
        assert_true(talk(there, b.netns, "10.99.0.2", 7106, NULL));
    }
    outside_free(&o);
    box_free(&a);
    box_free(&b);
}

static void test_no_firewall_where_none_is_wanted(void **state)
{
    network_opts opts = {NETWORK_OPTS_DEFAULT};

    (void)state;
    opts.iptables = opts.ip6tables = false;
    begin_with(&opts, "0");
    box a = box_new("a");
    auto_free char *all = nft("list ruleset", false);
    assert_string_equal(all, "");
    box_free(&a);
}

static bool is_complete(void)
{
    return table_has("@homes masquerade") && table_has("elements = { 172.17.0.0/16 }");
}

static bool comes_back(void)
{
    for (int ms = 0; ms < 1000 && !is_complete(); ms += 50)
        rig_turn(50);
    return is_complete();
}

static void test_rules_come_back(void **state)
{
    static const char *const attacks[] = {"flush ruleset", "delete table ip %s",
                                          "flush table ip %s", "flush chain ip %s postrouting",
                                          "flush set ip %s masqueraded"};
    box a = box_new("a");

    (void)state;
    rig_turn(300); /* our own transaction is not mistaken for one */
    for (size_t i = 0; i < COUNT(attacks); i++) {
        auto_buf command = {0};
        const char *name = strstr(attacks[i], "%s");

        buf_add(&command, attacks[i], name ? (size_t)(name - attacks[i]) : strlen(attacks[i]));
        if (name)
            buf_printf(&command, "%s%s", network_here.table, name + 2);
        print_message("%s\n", command.data);
        free(nft(command.data, false));
        assert_false(is_complete());
        assert_true(comes_back());
        rig_turn(150);
    }
    box_free(&a);
}

static void test_a_refused_transaction_says_why(void **state)
{
    firewall_bridge odd = {.name = "br0", .subnet = {addr_v4(0), 40}, .masquerade = true};
    firewall_rules rules = {
        .table = "berth_test", .ipv4 = true, .ipv6 = true, .bridges = &odd, .n = 1};
    err *e = firewall_apply(&rules);

    (void)state;
    assert_non_null(e);
    assert_non_null(strstr(err_message(e), "failed to program the firewall: nftables: "));
    err_free(e);
    odd.subnet = (cidr){addr_v4(0x0a000000), 8};
    assert_ok(firewall_apply(&rules));
    assert_ok(firewall_apply(&rules));
    assert_ok(firewall_remove("berth_test"));
    assert_ok(firewall_remove("berth_test"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_rules_are_there, begin, end),
        cmocka_unit_test_setup_teardown(test_out_yes_by_the_host_address, begin, end),
        cmocka_unit_test_setup_teardown(test_in_no_by_a_route, begin, end),
        cmocka_unit_test_teardown(test_without_masquerade, end),
        cmocka_unit_test_setup_teardown(test_forwarding_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(test_no_router_for_others, begin, end),
        cmocka_unit_test_teardown(test_containers_apart_without_icc, end),
        cmocka_unit_test_teardown(test_no_firewall_where_none_is_wanted, end),
        cmocka_unit_test_setup_teardown(test_rules_come_back, begin, end),
        cmocka_unit_test_setup_teardown(test_a_refused_transaction_says_why, begin, end),
    };
    int rc;

    if (!rig_enter())
        return 0;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rig_leave();
    return rc;
}
