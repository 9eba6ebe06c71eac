/* sizes_test.c - what a flow in flight and an idle connection may cost. */
#include "rig.h"
#include "../../../src/loop/uvloop.h"

static void test_flow_in_flight(void **state)
{
    (void)state;
    assert_in_range(flow_bytes, 1, 192);
    assert_in_range(job_bytes, 1, 256);
    assert_in_range(flow_bytes + job_bytes, 1, 512); /* beside its state */
}

static void test_idle_connection(void **state)
{
    (void)state;
    assert_in_range(sock_bytes, sizeof(uv_tcp_t), 448);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow_in_flight),
        cmocka_unit_test(test_idle_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
