/* seccomp_test.c - what the built-in profile allows with which capabilities, and how a profile that
 * came with a request is translated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "seccomp.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKAGED "/usr/share/containers/seccomp.json"

static cap_set default_caps(void)
{
    host_config plain = {0};
    cap_set caps = 0;

    assert_null(caps_for(&plain, false, NULL, &caps));
    return caps;
}

static cap_set with(const char *name)
{
    unsigned n;

    assert_true(cap_parse(name, &n));
    return default_caps() | 1ULL << n;
}

static cJSON *builtin(cap_set caps)
{
    auto_buf text = {0};
    cJSON *profile;

    assert_null(seccomp_builtin(caps, &text));
    profile = cJSON_Parse(text.data);
    assert_non_null(profile);
    return profile;
}

static int number_of(const cJSON *object, const char *key)
{
    const cJSON *n = cJSON_GetObjectItem(object, key);

    return n ? n->valueint : -1;
}

static bool names(const cJSON *rule, const char *syscall)
{
    const cJSON *name;

    cJSON_ArrayForEach (name, cJSON_GetObjectItem(rule, "names"))
        if (str_eq(name->valuestring, syscall))
            return true;
    return false;
}

/* Rules for syscall with that action, with (or without) a look at its arguments. */
static int rules_for(const cJSON *profile, const char *syscall, const char *action, bool has_args)
{
    const cJSON *rule;
    int n = 0;

    cJSON_ArrayForEach (rule, cJSON_GetObjectItem(profile, "syscalls"))
        n += names(rule, syscall) &&
             str_eq(cJSON_GetObjectItem(rule, "action")->valuestring, action) &&
             (cJSON_GetObjectItem(rule, "args") != NULL) == has_args;
    return n;
}

static bool allows(const cJSON *profile, const char *syscall)
{
    return rules_for(profile, syscall, "SCMP_ACT_ALLOW", false) > 0;
}

static int set_up(void **state)
{
    (void)state;
    caps_init();
    assert_null(seccomp_init(PACKAGED));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    seccomp_done();
    return 0;
}

static void test_what_default_containers_may(void **state)
{
    static const char *const may[] = {"read", "openat2", "execve", "chroot", "kill", "ptrace"};
    static const char *const may_not[] = {
        "mount",  "umount2", "unshare", "setns",          "pivot_root",     "bpf",
        "keyctl", "reboot",  "syslog",  "io_uring_setup", "io_uring_enter", "clone3",
        "clone",  "socket",  "fsopen",  "open_tree",      "kexec_load",     "open_by_handle_at"};
    cJSON *profile = builtin(default_caps());

    (void)state;
    assert_true(seccomp_is_default(default_caps()));
    assert_string_equal(cJSON_GetObjectItem(profile, "defaultAction")->valuestring,
                        "SCMP_ACT_ERRNO");
    for (size_t i = 0; i < COUNT(may); i++)
        assert_true(allows(profile, may[i]));
    for (size_t i = 0; i < COUNT(may_not); i++)
        assert_false(allows(profile, may_not[i]));
    /* glibc falls back to clone only after ENOSYS */
    assert_int_equal(rules_for(profile, "clone3", "SCMP_ACT_ERRNO", false), 1);
    assert_int_equal(rules_for(profile, "clone", "SCMP_ACT_ALLOW", true), 1);
    cJSON_Delete(profile);
}

static void test_clone3_is_unknown_not_forbidden(void **state)
{
    cJSON *profile = builtin(default_caps());
    const cJSON *rule;
    bool seen = false;

    (void)state;
    cJSON_ArrayForEach (rule, cJSON_GetObjectItem(profile, "syscalls"))
        if (names(rule, "clone3")) {
            assert_int_equal(number_of(rule, "errnoRet"), ENOSYS);
            seen = true;
        }
    assert_true(seen);
    cJSON_Delete(profile);
}

static void test_capabilities_open_their_calls(void **state)
{
    static const struct {
        const char *cap, *syscall;
    } rows[] = {{"SYS_ADMIN", "mount"}, {"SYS_ADMIN", "unshare"},     {"SYS_ADMIN", "clone3"},
                {"SYS_BOOT", "reboot"}, {"SYSLOG", "syslog"},         {"SYS_NICE", "mbind"},
                {"SYS_ADMIN", "clone"}, {"SYS_MODULE", "init_module"}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        cJSON *profile = builtin(with(rows[i].cap));

        assert_false(seccomp_is_default(with(rows[i].cap)));
        assert_true(allows(profile, rows[i].syscall));
        assert_false(allows(profile, "io_uring_setup")); /* with none */
        cJSON_Delete(profile);
    }
}

/* Every family is allowed by exactly one rule, but AF_ALG and AF_VSOCK by none. */
static void test_socket_families(void **state)
{
    cJSON *profile = builtin(default_caps());

    (void)state;
    for (int family = 0; family < 64; family++) {
        const cJSON *rule;
        int allowed = 0;

        cJSON_ArrayForEach (rule, cJSON_GetObjectItem(profile, "syscalls")) {
            const cJSON *arg = cJSON_GetArrayItem(cJSON_GetObjectItem(rule, "args"), 0);
            const char *op = arg ? cJSON_GetObjectItem(arg, "op")->valuestring : "";

            if (!names(rule, "socket"))
                continue;
            assert_int_equal(number_of(arg, "index"), 0);
            allowed += (str_eq(op, "SCMP_CMP_EQ") && number_of(arg, "value") == family) ||
                       (str_eq(op, "SCMP_CMP_LT") && family < number_of(arg, "value")) ||
                       (str_eq(op, "SCMP_CMP_GT") && family > number_of(arg, "value"));
        }
        assert_int_equal(allowed, family != AF_ALG && family != AF_VSOCK);
    }
    cJSON_Delete(profile);
}

static char *translated(const char *profile, cap_set caps)
{
    auto_buf text = {0};

    assert_null(seccomp_custom(profile, caps, &text));
    return buf_take(&text);
}

static void test_a_profile_of_the_request(void **state)
{
    auto_free char *plain =
        translated("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":38,\"syscalls\":["
                   "{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":13,"
                   "\"args\":[{\"index\":1,\"value\":2,\"valueTwo\":3,\"op\":\"SCMP_CMP_EQ\"}]},"
                   "{\"name\":\"mount\",\"action\":\"SCMP_ACT_ALLOW\"}]}",
                   default_caps());
    auto_free char *filtered = translated(
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
        "{\"names\":[\"a\"],\"action\":\"X\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
        "{\"names\":[\"b\"],\"action\":\"X\",\"excludes\":{\"caps\":[\"CAP_CHOWN\"]}},"
        "{\"names\":[\"c\"],\"action\":\"X\",\"includes\":{\"arches\":[\"s390x\"]}},"
        "{\"names\":[\"d\"],\"action\":\"X\",\"includes\":{\"minKernel\":\"99.0\"}},"
        "{\"names\":[\"e\"],\"action\":\"X\",\"excludes\":{\"minKernel\":\"4.8\"}},"
        "{\"names\":[\"f\"],\"action\":\"X\",\"includes\":{\"minKernel\":\"4.8\"}}]}",
        default_caps());

    (void)state;
    assert_string_equal(
        plain, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":38,\"architectures\":[],"
               "\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":13,"
               "\"args\":[{\"index\":1,\"value\":2,\"valueTwo\":3,\"op\":\"SCMP_CMP_EQ\"}]},"
               "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");
    assert_string_equal(filtered, "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[],"
                                  "\"syscalls\":[{\"names\":[\"f\"],\"action\":\"X\"}]}");
}

static void test_broken_profiles_are_refused(void **state)
{
    static const char *const broken[] = {"",
                                         "{",
                                         "[]",
                                         "{}",
                                         "{\"defaultAction\":\"\"}",
                                         "{\"defaultAction\":7}",
                                         "{\"defaultAction\":\"X\",\"syscalls\":7}",
                                         "{\"defaultAction\":\"X\",\"syscalls\":[7]}"};

    (void)state;
    for (size_t i = 0; i < COUNT(broken); i++) {
        auto_buf text = {0};
        err *e = seccomp_custom(broken[i], default_caps(), &text);

        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_INVALID);
        assert_true(str_starts(err_message(e), "loading seccomp profile failed"));
        err_free(e);
    }
}

static void test_no_profile_on_the_host(void **state)
{
    err *e;

    (void)state;
    seccomp_done();
    e = seccomp_init("/nonexistent/seccomp.json");
    assert_int_equal(err_kind(e), ERR_NOT_FOUND);
    err_free(e);
    assert_false(seccomp_is_there());
    assert_false(seccomp_is_default(default_caps()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_default_containers_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clone3_is_unknown_not_forbidden, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_capabilities_open_their_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_socket_families, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_profile_of_the_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_profiles_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_profile_on_the_host, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
