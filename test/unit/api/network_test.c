/* network_test.c - the wire shape of networks as clients of several versions see it. */
#include <berth/api/network.h>
#include <berth/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_an_empty_endpoint(void **state)
{
    endpoint_settings s = {0};
    auto_buf now = {0}, old = {0};

    (void)state;
    json_encode(&endpoint_settings_json, &s, 51, &now);
    assert_string_equal(now.data,
                        "{\"IPAMConfig\":null,\"Links\":null,\"Aliases\":null,\"MacAddress\":\"\","
                        "\"DriverOpts\":null,"
                        "\"GwPriority\":0,\"NetworkID\":\"\",\"EndpointID\":\"\",\"Gateway\":\"\","
                        "\"IPAddress\":\"\","
                        "\"IPPrefixLen\":0,\"IPv6Gateway\":\"\",\"GlobalIPv6Address\":\"\","
                        "\"GlobalIPv6PrefixLen\":0,\"DNSNames\":null}");
    json_encode(&endpoint_settings_json, &s, 43, &old);
    assert_null(strstr(old.data, "GwPriority"));
    assert_null(strstr(old.data, "DNSNames"));
}

static void test_what_a_client_asks_for(void **state)
{
    static const char body[] =
        "{\"EndpointsConfig\":{\"net1\":{\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.9\"},"
        "\"Aliases\":[\"db\",\"sql\"],\"DriverOpts\":{\"k\":\"v\"}},\"net2\":null,\"net3\":{}}}";
    auto_arena *a = arena_new();
    networking_config c = {0};
    const endpoint_settings *first;

    (void)state;
    assert_null(json_decode(&networking_config_json, body, strlen(body), 51, a, &c));
    assert_int_equal(c.endpoints_config.n, 3);
    assert_string_equal(c.endpoints_config.keys[0], "net1");
    first = JSON_AT(c.endpoints_config, endpoint_settings, 0);
    assert_string_equal(first->ipam_config->ipv4_address, "10.0.0.9");
    assert_int_equal(first->aliases.n, 2);
    assert_string_equal(first->aliases.v[1], "sql");
    assert_string_equal(json_map_get(&first->driver_opts, "k"), "v");
    assert_null(JSON_AT(c.endpoints_config, endpoint_settings, 1)->ipam_config);
}

static void test_settings_of_a_stopped_container(void **state)
{
    network_settings s = {0};
    auto_buf out = {0};

    (void)state;
    json_encode(&network_settings_json, &s, 51, &out);
    assert_string_equal(
        out.data,
        "{\"Bridge\":\"\",\"SandboxID\":\"\",\"SandboxKey\":\"\",\"Ports\":{},\"HairpinMode\":"
        "false,"
        "\"LinkLocalIPv6Address\":\"\",\"LinkLocalIPv6PrefixLen\":0,\"SecondaryIPAddresses\":null,"
        "\"SecondaryIPv6Addresses\":null,\"EndpointID\":\"\",\"Gateway\":\"\","
        "\"GlobalIPv6Address\":\"\","
        "\"GlobalIPv6PrefixLen\":0,\"IPAddress\":\"\",\"IPPrefixLen\":0,\"IPv6Gateway\":\"\","
        "\"MacAddress\":\"\",\"Networks\":{}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_endpoint),
        cmocka_unit_test(test_what_a_client_asks_for),
        cmocka_unit_test(test_settings_of_a_stopped_container),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
