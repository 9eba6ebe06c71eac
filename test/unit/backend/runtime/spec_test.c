/* spec_test.c - from Config and HostConfig, as JSON, to the runtime's config.json, as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "caps.h"
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static arena *a;
static strv warnings;
static container_config config;
static host_config host;

static int set_up(void **state)
{
    (void)state;
    assert_null(spec_host_init(NULL));
    a = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    strv_done(&warnings);
    arena_free(a);
    spec_host_done();
    return 0;
}

static void say(const char *config_text, const char *host_text)
{
    strv_done(&warnings);
    config = (container_config){0};
    host = (host_config){0};
    assert_null(json_decode(&container_config_json, config_text, strlen(config_text),
                            JSON_ANY_VERSION, a, &config));
    assert_null(
        json_decode(&host_config_json, host_text, strlen(host_text), JSON_ANY_VERSION, a, &host));
}

static const spec_user somebody = {
    .uid = 1000, .gid = 100, .gids = (uint32_t[]){100, 29}, .n_gids = 2, .home = "/home/some"};

static spec_input input(void)
{
    static const char *const env[] = {"PATH=/bin", "A=\"b\"", NULL};
    static const char *const argv[] = {"/bin/echo", "hi\n", NULL};

    return (spec_input){.id = "abc",
                        .rootfs = "/r",
                        .hostname = "box",
                        .config = &config,
                        .host = &host,
                        .env = env,
                        .argv = argv,
                        .user = &somebody,
                        .netns_path = "/run/netns/abc",
                        .cgroups_path = "/docker/abc"};
}

static cJSON *built(const spec_input *in)
{
    auto_buf text = {0};
    cJSON *spec;

    assert_null(spec_build(in, &text, &warnings));
    spec = cJSON_Parse(text.data);
    assert_non_null(spec);
    return spec;
}

/* "linux/resources/pids/limit": what stands there, printed; "" when nothing does. */
static const char *at(const cJSON *spec, const char *path)
{
    auto_strv keys = {0};
    auto_free char *text = NULL;

    strv_split(&keys, path, '/');
    for (size_t i = 0; spec && i < keys.n; i++)
        spec = cJSON_IsArray(spec) ? cJSON_GetArrayItem(spec, (int)strtol(keys.v[i], NULL, 10))
                                   : cJSON_GetObjectItemCaseSensitive(spec, keys.v[i]);
    if (spec)
        text = cJSON_PrintUnformatted(spec);
    return arena_strdup(a, text ? text : "");
}

/* "mount network:/run/netns/abc uts": the namespaces, with the path where one is joined. */
static const char *namespaces(const cJSON *spec)
{
    const cJSON *list = cJSON_GetObjectItem(cJSON_GetObjectItem(spec, "linux"), "namespaces"), *one;
    auto_buf text = {0};

    cJSON_ArrayForEach (one, list) {
        const cJSON *path = cJSON_GetObjectItem(one, "path");

        buf_printf(&text, "%s%s%s%s", text.len ? " " : "",
                   cJSON_GetObjectItem(one, "type")->valuestring, path ? ":" : "",
                   path ? path->valuestring : "");
    }
    return arena_strdup(a, text.data);
}

static bool has_text(const cJSON *list, const char *text)
{
    const cJSON *one;

    cJSON_ArrayForEach (one, list)
        if (str_eq(one->valuestring, text))
            return true;
    return false;
}

/* The mount onto destination; NULL when there is none. */
static const cJSON *mount_at(const cJSON *spec, const char *destination)
{
    const cJSON *one, *found = NULL;

    cJSON_ArrayForEach (one, cJSON_GetObjectItem(spec, "mounts"))
        if (str_eq(cJSON_GetObjectItem(one, "destination")->valuestring, destination))
            found = one;
    return found;
}

static bool has_option(const cJSON *mount, const char *option)
{
    return has_text(cJSON_GetObjectItem(mount, "options"), option);
}

static bool has_cap(const cJSON *spec, const char *set, const char *cap)
{
    return has_text(
        cJSON_GetObjectItem(
            cJSON_GetObjectItem(cJSON_GetObjectItem(spec, "process"), "capabilities"), set),
        cap);
}

static void test_a_plain_container(void **state)
{
    spec_input in = input();
    cJSON *spec;

    (void)state;
    say("{}", "{}");
    spec = built(&in);
    assert_string_equal(at(spec, "process/args"), "[\"/bin/echo\",\"hi\\n\"]");
    assert_string_equal(at(spec, "process/env"),
                        "[\"PATH=/bin\",\"A=\\\"b\\\"\",\"HOME=/home/some\"]");
    assert_string_equal(at(spec, "process/user"),
                        "{\"uid\":1000,\"gid\":100,\"additionalGids\":[100,29]}");
    assert_string_equal(at(spec, "process/cwd"), "\"/\"");
    assert_string_equal(at(spec, "process/terminal"), "false");
    assert_string_equal(at(spec, "process/noNewPrivileges"), "false");
    assert_string_equal(at(spec, "root"), "{\"path\":\"/r\",\"readonly\":false}");
    assert_string_equal(at(spec, "hostname"), "\"box\"");
    assert_string_equal(at(spec, "annotations"), "{}");
    assert_string_equal(at(spec, "linux/cgroupsPath"), "\"/docker/abc\"");
    assert_string_equal(at(spec, "linux/sysctl"),
                        "{\"net.ipv4.ip_unprivileged_port_start\":\"0\","
                        "\"net.ipv4.ping_group_range\":\"0 2147483647\"}");
    assert_string_equal(namespaces(spec), runtime_cgroup_mode() == CGROUP_V2
                                              ? "mount network:/run/netns/abc uts pid ipc cgroup"
                                              : "mount network:/run/netns/abc uts pid ipc");
    assert_true(has_text(cJSON_GetObjectItem(cJSON_GetObjectItem(spec, "linux"), "maskedPaths"),
                         "/proc/kcore"));
    assert_string_not_equal(at(spec, "linux/seccomp/defaultAction"), "");
    assert_true(has_option(mount_at(spec, "/sys"), "ro"));
    assert_true(has_option(mount_at(spec, "/dev/shm"), "size=67108864"));
    assert_int_equal(warnings.n, 0);
    cJSON_Delete(spec);
}

/* Who is not root has nothing effective; nobody has anything ambient or inheritable. */
static void test_capabilities(void **state)
{
    spec_input in = input();
    const spec_user root = {.gids = (uint32_t[]){0}, .n_gids = 1};
    cJSON *spec;

    (void)state;
    say("{}", "{\"CapDrop\":[\"CAP_CHOWN\"],\"CapAdd\":[\"net_admin\"]}");
    spec = built(&in);
    assert_false(has_cap(spec, "bounding", "CAP_CHOWN"));
    assert_true(has_cap(spec, "bounding", "CAP_NET_ADMIN"));
    assert_true(has_cap(spec, "bounding", "CAP_KILL"));
    assert_string_equal(at(spec, "process/capabilities/effective"), "[]");
    assert_string_equal(at(spec, "process/capabilities/permitted"), "[]");
    cJSON_Delete(spec);

    in.user = &root;
    spec = built(&in);
    assert_true(has_cap(spec, "effective", "CAP_KILL"));
    assert_string_equal(at(spec, "process/capabilities/ambient"), "[]");
    assert_string_equal(at(spec, "process/capabilities/inheritable"), "[]");
    cJSON_Delete(spec);

    say("{}", "{\"CapDrop\":[\"ALL\"],\"CapAdd\":[\"KILL\"]}");
    spec = built(&in);
    assert_string_equal(at(spec, "process/capabilities/bounding"), "[\"CAP_KILL\"]");
    cJSON_Delete(spec);
}

/* What the daemon may not give is left out, and said so only to who asked for it. */
static void test_privileged(void **state)
{
    spec_input in = input();
    unsigned lacking = 0;
    cJSON *spec;

    (void)state;
    say("{}", "{\"Privileged\":true}");
    spec = built(&in);
    for (unsigned n = 0; cap_name(n); n++) {
        bool mine = caps_of_daemon() >> n & 1;

        assert_int_equal(has_cap(spec, "bounding", cap_name(n)), mine);
        lacking += !mine;
    }
    assert_int_equal(warnings.n, lacking);
    assert_string_equal(at(spec, "linux/seccomp"), "");
    assert_string_equal(at(spec, "linux/maskedPaths"), "");
    assert_string_equal(at(spec, "linux/readonlyPaths"), "");
    assert_string_equal(at(spec, "linux/resources/devices"),
                        "[{\"allow\":true,\"access\":\"rwm\"}]");
    assert_true(has_option(mount_at(spec, "/sys"), "rw"));
    cJSON_Delete(spec);
}

static void test_namespaces_that_are_shared(void **state)
{
    spec_input in = input();
    cJSON *spec;

    (void)state;
    say("{}", "{\"PidMode\":\"host\",\"IpcMode\":\"host\",\"UTSMode\":\"host\","
              "\"CgroupnsMode\":\"private\"}");
    in.netns_path = NULL;
    spec = built(&in);
    assert_string_equal(namespaces(spec), "mount cgroup");
    assert_string_equal(at(spec, "hostname"), "");
    assert_string_equal(at(spec, "linux/sysctl"), "{}");
    assert_true(has_option(mount_at(spec, "/dev/shm"), "rbind"));
    cJSON_Delete(spec);

    say("{}", "{\"PidMode\":\"container:x\",\"IpcMode\":\"container:x\",\"UTSMode\":\"\","
              "\"CgroupnsMode\":\"host\",\"NetworkMode\":\"container:x\"}");
    in.netns_path = "/proc/7/ns/net";
    in.pidns_path = "/proc/7/ns/pid";
    in.ipcns_path = "/proc/7/ns/ipc";
    in.shm_path = "/run/x/shm";
    spec = built(&in);
    assert_string_equal(namespaces(spec),
                        "mount network:/proc/7/ns/net uts pid:/proc/7/ns/pid ipc:/proc/7/ns/ipc");
    assert_string_equal(at(spec, "linux/sysctl"), "{}");
    assert_string_equal(at(mount_at(spec, "/dev/shm"), "source"), "\"/run/x/shm\"");
    cJSON_Delete(spec);
}

static void test_limits(void **state)
{
    spec_input in = input();
    cJSON *spec;

    (void)state;
    say("{}", "{\"Memory\":67108864,\"NanoCpus\":1500000000,\"CpuShares\":1,\"PidsLimit\":-1,"
              "\"CpusetCpus\":\"0\",\"OomScoreAdj\":500}");
    spec = built(&in);
    assert_string_equal(at(spec, "linux/resources/memory"),
                        "{\"limit\":67108864,\"swap\":134217728}");
    assert_string_equal(at(spec, "linux/resources/cpu"),
                        "{\"shares\":2,\"period\":100000,\"quota\":150000,\"cpus\":\"0\"}");
    assert_string_equal(at(spec, "linux/resources/pids"), "");
    assert_string_equal(at(spec, "process/oomScoreAdj"), "500");
    cJSON_Delete(spec);

    say("{}", "{\"Memory\":67108864,\"MemorySwap\":-1,\"PidsLimit\":0,\"CpuPeriod\":50000,"
              "\"CpuQuota\":25000,\"ReadonlyRootfs\":true,\"ShmSize\":1048576,"
              "\"Annotations\":{\"k\":\"v\"},\"SecurityOpt\":[\"no-new-privileges\","
              "\"seccomp=unconfined\",\"systempaths=unconfined\"],"
              "\"Ulimits\":[{\"Name\":\"core\",\"Soft\":0,\"Hard\":0}]}");
    spec = built(&in);
    assert_string_equal(at(spec, "linux/resources/memory/swap"), "-1");
    assert_string_equal(at(spec, "linux/resources/pids"), "");
    assert_string_equal(at(spec, "linux/resources/cpu"), "{\"period\":50000,\"quota\":25000}");
    assert_string_equal(at(spec, "root/readonly"), "true");
    assert_true(has_option(mount_at(spec, "/dev/shm"), "size=1048576"));
    assert_string_equal(at(spec, "annotations"), "{\"k\":\"v\"}");
    assert_string_equal(at(spec, "process/noNewPrivileges"), "true");
    assert_string_equal(at(spec, "linux/seccomp"), "");
    assert_string_equal(at(spec, "linux/maskedPaths"), "");
    assert_string_equal(at(spec, "process/rlimits"),
                        "[{\"type\":\"RLIMIT_CORE\",\"hard\":0,\"soft\":0}]");
    cJSON_Delete(spec);
}

/* crun takes the compiled filter instead of the profile. */
static void test_a_compiled_filter_replaces_the_profile(void **state)
{
    spec_input in = input();
    cJSON *spec;

    (void)state;
    say("{}", "{}");
    assert_true(spec_is_plain_seccomp(&host));
    in.seccomp_bpf = "AAAA";
    spec = built(&in);
    assert_string_equal(at(spec, "linux/seccomp"), "");
    assert_string_equal(at(spec, "annotations"), "{\"run.oci.seccomp_bpf_data\":\"AAAA\"}");
    cJSON_Delete(spec);
    say("{}", "{\"CapAdd\":[\"SYS_ADMIN\"]}");
    assert_false(spec_is_plain_seccomp(&host));
    say("{}", "{\"SecurityOpt\":[\"seccomp={\\\"defaultAction\\\":\\\"SCMP_ACT_ALLOW\\\"}\"]}");
    assert_false(spec_is_plain_seccomp(&host));
    say("{}", "{\"Privileged\":true}");
    assert_false(spec_is_plain_seccomp(&host));
}

static void test_init_comes_first(void **state)
{
    spec_input in = input();
    cJSON *spec;

    (void)state;
    say("{\"Tty\":true,\"WorkingDir\":\"/srv\"}", "{}");
    in.init_path = "/usr/bin/tini-static";
    spec = built(&in);
    assert_string_equal(at(spec, "process/args"),
                        "[\"/sbin/docker-init\",\"--\",\"/bin/echo\",\"hi\\n\"]");
    assert_string_equal(at(mount_at(spec, "/sbin/docker-init"), "source"),
                        "\"/usr/bin/tini-static\"");
    assert_string_equal(at(spec, "process/terminal"), "true");
    assert_string_equal(at(spec, "process/cwd"), "\"/srv\"");
    cJSON_Delete(spec);
}

static void test_the_process_of_an_exec(void **state)
{
    static const char *const env[] = {"HOME=/mine", NULL};
    static const char *const argv[] = {"sh", NULL};
    spec_exec in = {.env = env,
                    .argv = argv,
                    .user = &somebody,
                    .host = &host,
                    .tty = true,
                    .rows = 24,
                    .cols = 80};
    auto_buf text = {0};
    cJSON *process;

    (void)state;
    say("{}", "{\"CapDrop\":[\"ALL\"],\"SecurityOpt\":[\"no-new-privileges\"]}");
    assert_null(spec_build_exec(&in, &text));
    process = cJSON_Parse(text.data);
    assert_string_equal(at(process, "consoleSize"), "{\"height\":24,\"width\":80}");
    assert_string_equal(at(process, "env"), "[\"HOME=/mine\"]");
    assert_string_equal(at(process, "capabilities/bounding"), "[]");
    assert_string_equal(at(process, "noNewPrivileges"), "true");
    cJSON_Delete(process);
}

/* What is wrong, and the words for it. */
static void test_what_is_refused(void **state)
{
    static const struct {
        const char *config, *host, *text;
    } rows[] = {
        {"{\"WorkingDir\":\"srv\"}", "{}",
         "the working directory 'srv' is invalid, it needs to be an absolute path"},
        {"{}", "{\"CapAdd\":[\"WINGS\"]}", "invalid CapAdd: unknown capability: \"CAP_WINGS\""},
        {"{}", "{\"CapDrop\":[\"CAP_X\"]}", "invalid CapDrop: unknown capability: \"CAP_X\""},
        {"{}", "{\"Memory\":1048576}", "Minimum memory limit allowed is 6MB"},
        {"{}", "{\"Memory\":67108864,\"MemorySwap\":6291456}",
         "Minimum memoryswap limit should be larger than memory limit, see usage"},
        {"{}", "{\"MemorySwap\":67108864}",
         "You should always set the Memory limit when using Memoryswap limit, see usage"},
        {"{}", "{\"MemorySwappiness\":101}",
         "Invalid value: 101, valid memory swappiness range is 0-100"},
        {"{}", "{\"NanoCpus\":1,\"CpuPeriod\":1000}",
         "Conflicting options: Nano CPUs and CPU Period cannot both be set"},
        {"{}", "{\"CpuQuota\":10}", "CPU cfs quota can not be less than 1ms (i.e. 1000)"},
        {"{}", "{\"CpusetCpus\":\"1-\"}", "Invalid value 1- for cpuset cpus"},
        {"{}", "{\"CpusetCpus\":\"3-1\"}", "Invalid value 3-1 for cpuset cpus"},
        {"{}", "{\"CpusetCpus\":\"0-4294967295\"}", "Invalid value 0-4294967295 for cpuset cpus"},
        {"{}", "{\"CpusetCpus\":\"0,8000-8001\"}",
         "Requested CPUs are not available - requested 0,8000-8001, available: "},
        {"{}", "{\"CpusetMems\":\"8000\"}",
         "Requested memory nodes are not available - requested 8000, available: "},
        {"{}", "{\"ShmSize\":-1}", "SHM size can not be less than 0"},
        {"{}", "{\"OomScoreAdj\":1001}",
         "Invalid value 1001, range for oom score adj is [-1000, 1000]"},
        {"{}", "{\"SecurityOpt\":[\"shoes\"]}", "invalid --security-opt 1: \"shoes\""},
        {"{}", "{\"SecurityOpt\":[\"shoes=red\"]}", "invalid --security-opt 2: \"shoes=red\""},
        {"{}", "{\"Sysctls\":{\"kernel.shm_all\":\"1\"}}",
         "sysctl 'kernel.shm_all' is not whitelisted"},
        {"{}", "{\"Sysctls\":{\"net/../kernel.x\":\"1\"}}", "invalid sysctl 'net/../kernel.x'"},
        {"{}", "{\"Sysctls\":{\"net.a..b\":\"1\"}}", "invalid sysctl 'net.a..b'"},
        {"{}", "{\"Sysctls\":{\"net.a\":\"1\\n2\"}}", "invalid sysctl 'net.a'"},
        {"{}", "{\"NetworkMode\":\"host\",\"Sysctls\":{\"net.a\":\"1\"}}",
         "sysctl 'net.a' is not allowed in the host network namespace"},
        {"{}", "{\"IpcMode\":\"host\",\"Sysctls\":{\"kernel.shmmax\":\"1\"}}",
         "sysctl 'kernel.shmmax' is not allowed in the host ipc namespace"},
        {"{}", "{\"Ulimits\":[{\"Name\":\"wings\",\"Soft\":1,\"Hard\":1}]}",
         "invalid ulimit type: wings"},
        {"{}", "{\"Devices\":[{\"PathOnHost\":\"/dev/null\",\"CgroupPermissions\":\"rx\"}]}",
         "invalid device mode: rx"},
        {"{}", "{\"DeviceCgroupRules\":[\"c 1:3 rwmx\"]}",
         "invalid device cgroup rule format: 'c 1:3 rwmx'"},
        {"{}", "{\"DeviceCgroupRules\":[\"d 1:3 r\"]}",
         "invalid device cgroup rule format: 'd 1:3 r'"},
        {"{}", "{\"DeviceCgroupRules\":[\"c 4294967296:3 r\"]}",
         "invalid device cgroup rule format: 'c 4294967296:3 r'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        err *e;

        set_up(NULL);
        say(rows[i].config, rows[i].host);
        e = spec_validate(&config, &host, &warnings);
        if (!e)
            fail_msg("%s %s was accepted", rows[i].config, rows[i].host);
        assert_int_equal(err_kind(e), ERR_INVALID);
        if (str_ends(rows[i].text, "available: ")) /* what there is, is the host's */
            assert_true(str_starts(err_message(e), rows[i].text));
        else
            assert_string_equal(err_message(e), rows[i].text);
        err_free(e);
        tear_down(NULL);
    }
    set_up(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_plain_container, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_capabilities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_privileged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_namespaces_that_are_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_compiled_filter_replaces_the_profile, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_init_comes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_process_of_an_exec, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_refused, NULL, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
