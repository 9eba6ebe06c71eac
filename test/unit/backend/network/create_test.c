/* create_test.c - networks of clients: what is refused, which subnets they get, who gets which
 * address of them, and what a new daemon knows of it. */
#include "check.h"
#include "net_rig.h"

static network *made;
static err *failed;
static strv pruned;
static bool ended;

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
    strv_done(&pruned);
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 1000 && !ended; i++)
        rig_turn(5);
    assert_true(ended);
    ended = false;
}

static void on_created(void *arg, err *e, network *n)
{
    (void)arg;
    failed = e;
    made = n;
    ended = true;
}

static void on_done(void *arg, err *e)
{
    (void)arg;
    failed = e;
    ended = true;
}

static void on_pruned(void *arg, err *e, const strv *deleted)
{
    (void)arg;
    failed = e;
    for (size_t i = 0; i < deleted->n; i++)
        strv_push(&pruned, deleted->v[i]);
    ended = true;
}

/* A request as a client sends it. */
static void ask(const char *json)
{
    auto_arena *a = arena_new();
    network_create_request want = {0};

    assert_ok(
        json_decode(&network_create_request_json, json, strlen(json), JSON_ANY_VERSION, a, &want));
    network_create(&want, on_created, NULL);
    turn();
}

static network *create(const char *json)
{
    ask(json);
    assert_ok(failed);
    return made;
}

static void refuses(const char *json, err_class kind, const char *message)
{
    ask(json);
    assert_null(made);
    assert_refused(failed, kind, message);
}

static void remove_one(network *n)
{
    network_remove(n, on_done, NULL);
    turn();
    assert_ok(failed);
}

static void test_names_and_drivers(void **state)
{
    static const char none[] = "{\"Name\":\" \"}", long_one[] = "{\"Name\":\"a\\nb\"}";

    (void)state;
    refuses("{}", ERR_INVALID, "invalid name: name is empty");
    refuses(none, ERR_INVALID, "invalid name: name is empty");
    refuses(long_one, ERR_INVALID, "invalid name: a\nb");
    refuses("{\"Name\":\"host\"}", ERR_FORBIDDEN,
            "operation is not permitted on predefined host network ");
    refuses("{\"Name\":\"x\",\"Driver\":\"foo\"}", ERR_NOT_FOUND, "plugin \"foo\" not found");
    refuses("{\"Name\":\"x\",\"Driver\":\"null\"}", ERR_FORBIDDEN,
            "only one instance of \"null\" network is allowed");
    refuses("{\"Name\":\"x\",\"Scope\":\"swarm\"}", ERR_FORBIDDEN,
            "cannot create a swarm scoped network when swarm is not active");
    refuses("{\"Name\":\"x\",\"Ingress\":true}", ERR_FORBIDDEN,
            "Ingress network can only be global scope network");
    refuses("{\"Name\":\"x\",\"IPAM\":{\"Driver\":\"foo\"}}", ERR_NOT_FOUND,
            "plugin \"foo\" not found");
    refuses("{\"Name\":\"x\",\"EnableIPv4\":false}", ERR_INVALID, "IPv4 or IPv6 must be enabled");
    assert_int_equal(links_here(), 1); /* nothing was made */
}

static void test_subnets_are_checked_all_at_once(void **state)
{
    (void)state;
    refuses("{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.0.0\"}]}}", ERR_INVALID,
            "invalid network config:\ninvalid subnet 10.1.0.0: invalid CIDR block notation");
    refuses(
        "{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.0.5/16\",\"IPRange\":\"10.2.0."
        "0/8\",\"Gateway\":\"fd00::1\",\"AuxiliaryAddresses\":{\"a\":\"10.2.0.1\",\"b\":\"x\"}}]"
        "}}",
        ERR_INVALID,
        "invalid network config:\n"
        "* invalid subnet 10.1.0.5/16: it should be 10.1.0.0/16\n"
        "* invalid ip-range 10.2.0.0/8: CIDR block is bigger than its parent subnet "
        "10.1.0.0/16\n"
        "* invalid ip-range 10.2.0.0/8: it should be 10.0.0.0/8\n"
        "* invalid gateway fd00::1: parent subnet is an IPv4 block\n"
        "* invalid auxiliary address a: parent subnet 10.1.0.0/16 doesn't contain this address\n"
        "* invalid auxiliary address b: invalid address");
    refuses("{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.0.0/16\"},{\"Subnet\":\"10.2."
            "0.0/16\"}]}}",
            ERR_FORBIDDEN, "bridge driver doesn't support multiple subnets");
    create("{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.0.0/16\"}]}}");
    refuses("{\"Name\":\"b\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.8.0/24\"}]}}", ERR_FORBIDDEN,
            "Pool overlaps with other one on this address space");
    refuses("{\"Name\":\"a\"}", ERR_CONFLICT, "network with name a already exists");
    remove_one(made ? made : rig_network("a"));
    create("{\"Name\":\"b\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.8.0/24\"}]}}");
    remove_one(rig_network("b"));
    assert_true(links_become(1));
}

static endpoint *join(network *n, const char *container, const char *ip)
{
    endpoint_ipam_config asked = {.ipv4_address = (char *)ip};
    endpoint_settings wish = {.ipam_config = ip ? &asked : NULL};
    endpoint *ep = NULL;

    failed = endpoint_new(n, &(endpoint_opts){.container_id = container, .wish = &wish}, &ep);
    return ep;
}

static void test_addresses_of_a_range(void **state)
{
    network *n = create(
        "{\"Name\":\"a\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.0.0/16\",\"IPRange\":\"10.1.5.0/"
        "30\",\"AuxiliaryAddresses\":{\"router\":\"10.1.5.1\"}}]}}");
    endpoint *eps[3];

    (void)state;
    /* the gateway is the first of the range, then comes what is left of it */
    eps[0] = join(n, "c0", NULL);
    eps[1] = join(n, "c1", NULL);
    assert_string_equal(endpoint_gateway(eps[0]), "10.1.5.0");
    assert_string_equal(endpoint_ip(eps[0]), "10.1.5.2");
    assert_string_equal(endpoint_ip(eps[1]), "10.1.5.3");
    assert_null(join(n, "c2", NULL));
    assert_int_equal(err_kind(failed), ERR_SYSTEM);
    err_free(failed);
    assert_null(join(n, "c2", "10.1.5.1"));
    assert_refused(failed, ERR_FORBIDDEN, "Address already in use");
    assert_null(join(n, "c2", "10.2.5.1"));
    assert_refused(failed, ERR_INVALID,
                   "no configured subnet or ip-range contain the IP address 10.2.5.1");
    eps[2] = join(n, "c2", "10.1.200.7"); /* of the subnet, not of the range */
    assert_string_equal(endpoint_ip(eps[2]), "10.1.200.7");
    network_remove(n, on_done, NULL);
    turn();
    assert_int_equal(err_kind(failed), ERR_FORBIDDEN);
    err_free(failed);
    for (size_t i = 0; i < 3; i++)
        endpoint_free(eps[i]);
    remove_one(n);
}

static void test_the_way_out(void **state)
{
    network *a = create("{\"Name\":\"a\"}"), *b = create("{\"Name\":\"b\"}");
    network *in = create("{\"Name\":\"0\",\"Internal\":true}");
    endpoint_settings first = {.gw_priority = 1};
    endpoint *ea, *eb, *ei;

    (void)state;
    ei = join(in, "c", NULL);
    assert_false(ei->gw4);
    assert_string_equal(endpoint_gateway(ei), "");
    eb = join(b, "c", NULL);
    assert_true(eb->gw4);
    ea = join(a, "c", NULL);
    assert_true(ea->gw4 && !eb->gw4); /* the first name */
    assert_string_equal(endpoint_ifname(ei), "eth0");
    assert_string_equal(endpoint_ifname(ea), "eth2");
    endpoint_free(eb);
    assert_ok(endpoint_new(b, &(endpoint_opts){.container_id = "c", .wish = &first}, &eb));
    assert_string_equal(endpoint_ifname(eb), "eth1"); /* the name that was free again */
    assert_true(eb->gw4 && !ea->gw4);                 /* the priority */
    assert_false(ei->gw6 || ea->gw6 || eb->gw6);
    endpoint_free(ea);
    endpoint_free(eb);
    endpoint_free(ei);
    remove_one(a);
    remove_one(b);
    remove_one(in);
}

static void test_a_new_daemon_has_the_same_networks(void **state)
{
    auto_arena *a = arena_new();
    network_inspect before = {0}, after = {0};
    auto_buf x = {0}, y = {0};
    network *n =
        create("{\"Name\":\"a\",\"EnableIPv6\":true,\"Labels\":{\"k\":\"v\"},\"Attachable\":true,"
               "\"Options\":{\"com.docker.network.driver.mtu\":\"1400\"}}");

    (void)state;
    network_inspected(n, true, a, &before);
    json_encode(&network_inspect_json, &before, JSON_ANY_VERSION, &x);
    rig_end();
    rig_begin(NULL);
    network_inspected(rig_network("a"), true, a, &after);
    json_encode(&network_inspect_json, &after, JSON_ANY_VERSION, &y);
    assert_string_equal(x.data, y.data);
    assert_int_equal(rig_network("a")->bridge.mtu, 1400);
    assert_ok(network_sweep_run(network_sweep_plan(NULL, NULL)));
    assert_true(links_become(2)); /* its bridge stays */
    remove_one(rig_network("a"));
    rig_end();
    rig_begin(NULL);
    assert_int_equal(networks_first()->next->next->next == NULL, 1); /* the predefined three */
}

static void test_a_bridge_without_a_record_is_swept(void **state)
{
    auto_rtnl *r = NULL;

    (void)state;
    assert_ok(rtnl_open(&r));
    assert_ok(link_add_bridge(r, "br-0123456789ab", (const uint8_t[6]){2, 0, 0, 0, 0, 1}, 1500,
                              network_here.group));
    assert_ok(link_add_bridge(r, "theirs", (const uint8_t[6]){2, 0, 0, 0, 0, 2}, 1500, 0));
    assert_ok(network_sweep_run(network_sweep_plan(NULL, NULL)));
    assert_true(links_become(2));
    assert_int_not_equal(if_nametoindex("theirs"), 0);
    assert_ok(link_delete(r, "theirs", 0));
}

static void prune(const char *filters_text)
{
    static const char *const keys[] = {"label", "label!", "until", NULL};
    auto_arena *a = arena_new();
    filters *f = NULL;

    strv_done(&pruned);
    assert_ok(filters_parse(filters_text, keys, a, &f));
    networks_prune(f, on_pruned, NULL);
    turn();
}

static void test_prune(void **state)
{
    network *used;
    endpoint *ep;

    (void)state;
    create("{\"Name\":\"kept\",\"Labels\":{\"keep\":\"1\"}}");
    create("{\"Name\":\"free\"}");
    create("{\"Name\":\"config\",\"ConfigOnly\":true}");
    used = create("{\"Name\":\"used\"}");
    ep = join(used, "c", NULL);
    prune("{\"until\":[\"1h\"]}");
    assert_ok(failed);
    assert_int_equal(pruned.n, 0);
    prune("{\"label!\":[\"keep\"]}");
    assert_int_equal(pruned.n, 1);
    assert_string_equal(pruned.v[0], "free");
    prune("{\"label\":[\"keep=1\"]}");
    assert_int_equal(pruned.n, 1);
    assert_string_equal(pruned.v[0], "kept");
    endpoint_free(ep);
    prune("");
    assert_int_equal(pruned.n, 1);
    assert_string_equal(pruned.v[0], "used");
    remove_one(rig_network("config"));
    assert_true(links_become(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names_and_drivers, begin, end),
        cmocka_unit_test_setup_teardown(test_subnets_are_checked_all_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_addresses_of_a_range, begin, end),
        cmocka_unit_test_setup_teardown(test_the_way_out, begin, end),
        cmocka_unit_test_setup_teardown(test_a_new_daemon_has_the_same_networks, begin, end),
        cmocka_unit_test_setup_teardown(test_a_bridge_without_a_record_is_swept, begin, end),
        cmocka_unit_test_setup_teardown(test_prune, begin, end),
    };
    int rc;

    if (!rig_enter())
        return 0;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    rig_leave();
    return rc;
}
