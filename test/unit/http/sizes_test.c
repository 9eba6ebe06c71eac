/* sizes_test.c - what a connection and a request may weigh, and what an idle connection really
 * does. */
#include "http_rig.h"
#include <malloc.h>

enum { MANY = 400 };

static void test_structs(void **state)
{
    (void)state;
    print_message("conn %zu, request %zu, inbound %zu, stream %zu bytes\n", sizeof(conn),
                  sizeof(request), sizeof(inbound), sizeof(stream));
    assert_true(sizeof(conn) <= 192);
    assert_true(sizeof(request) <= 512);
    assert_true(sizeof(inbound) <= 320);
    assert_true(sizeof(stream) <= 96);
}

#ifndef __SANITIZE_ADDRESS__
static void get_in_use(void *arg)
{
    *(size_t *)arg = mallinfo2().uordblks;
}

static void test_idle_connection(void **state)
{
    size_t before = 0, after = 0;
    int fds[MANY];

    (void)state;
    fds[0] = cl_unix();
    assert_true(cl_is_usable(fds[0]));
    close(fds[0]);
    assert_true(RIG_UNTIL(rig_conns() == 0));
    rig_call(get_in_use, &before);
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = cl_unix();
        assert_true(cl_is_usable(fds[i]));
    }
    rig_call(get_in_use, &after);
    print_message("an idle connection: %zu bytes\n", (after - before) / MANY);
    assert_true((after - before) / MANY <= 2560);
    for (size_t i = 0; i < MANY; i++)
        close(fds[i]);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structs),
#ifndef __SANITIZE_ADDRESS__
        rig_test(test_idle_connection),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
