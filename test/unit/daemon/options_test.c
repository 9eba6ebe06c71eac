/* options_test.c - the command line, daemon.json, and what they say together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <config.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/berth-options-XXXXXX";
static char *file;

static void write_file(const char *text)
{
    assert_null(file_write(file, text, strlen(text), 0600));
}

/* Reads a command line, given as words apart from "berthd --config-file FILE". */
static err *read_words(config *c, bool *ret_usage, const char *const *words)
{
    const char *argv[32] = {"berthd", "--config-file", file};
    int argc = 3;

    while (*words)
        argv[argc++] = *words++;
    return config_read(argc, (char **)argv, c, ret_usage);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_WORDS   ((const char *const[]){NULL})

static void expect(const char *text, const char *const *words, bool usage, const char *message)
{
    auto_free char *whole =
        xasprintf("unable to configure the Docker daemon with file %s: %s", file, message);
    bool ret_usage = false;
    config c;
    err *e;

    write_file(text);
    e = read_words(&c, &ret_usage, words);
    if (!e)
        fail_msg("accepted, instead of: %s", message);
    if (!str_eq(err_message(e), whole))
        assert_string_equal(err_message(e), message);
    assert_int_equal(ret_usage, usage);
    err_free(e);
    config_done(&c);
}

static void accept_words(config *c, const char *text, const char *const *words)
{
    bool usage;
    err *e;

    write_file(text);
    e = read_words(c, &usage, words);
    if (e)
        fail_msg("refused: %s", err_message(e));
}

static void test_defaults(void **state)
{
    config c;

    (void)state;
    accept_words(&c, "", NO_WORDS);
    assert_int_equal(c.hosts.n, 1);
    assert_string_equal(c.hosts.v[0], "unix:///var/run/docker.sock");
    assert_string_equal(c.data_root, "/var/lib/berth");
    assert_string_equal(c.exec_root, "/run/berth");
    assert_string_equal(c.pidfile, "/run/berth/berthd.pid");
    assert_string_equal(c.group, "docker");
    assert_string_equal(c.log_driver, "json-file");
    assert_int_equal(c.shutdown_timeout, 15);
    assert_false(c.debug || c.tls || c.tlsverify || c.live_restore);
    assert_true(c.icc && c.iptables && c.ip6tables && c.ip_masq && c.ip_forward);
    config_done(&c);
}

static void test_forms_of_a_flag(void **state)
{
    const char *const *lines[] = {
        WORDS("--log-level", "warn", "--debug"),
        WORDS("--log-level=warn", "--debug=true"),
        WORDS("-l", "warn", "-D"),
        WORDS("-lwarn", "-D=1"),
        WORDS("-l=warn", "-D=TRUE"),
        WORDS("-Dl", "warn"),
        WORDS("-Dlwarn"),
        WORDS("--log-level", "error", "-l", "warn", "--debug=false", "-D"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        config c;

        accept_words(&c, "{}", lines[i]);
        assert_string_equal(c.log_level, "warn");
        assert_true(c.debug);
        config_done(&c);
    }
}

static void test_lists_repeat(void **state)
{
    config c;

    (void)state;
    accept_words(&c, "{}",
                 WORDS("-H", "unix:///a", "--host=tcp://b:1", "-Hfd://", "--label", "a=b",
                       "--label=c=d=e", "--log-opt", "max-size=1m", "--log-opt", "max-file=3",
                       "--default-ulimit", "nofile=10:20", "--default-ulimit", "nproc=5",
                       "--add-runtime", "mine=/bin/true"));
    assert_int_equal(c.hosts.n, 3);
    assert_string_equal(c.hosts.v[2], "fd://");
    assert_string_equal(c.labels.v[1], "c=d=e");
    assert_string_equal(json_map_get(&c.log_opts, "max-file"), "3");
    assert_int_equal(c.ulimits.n, 2);
    assert_int_equal(c.runtimes.n, 1);
    assert_string_equal(JSON_AT(c.runtimes, runtime_setting, 0)->path, "/bin/true");
    config_done(&c);
}

static void test_bad_flags(void **state)
{
    (void)state;
    expect("{}", WORDS("--nosuch"), true, "unknown flag: --nosuch");
    expect("{}", WORDS("--nosuch=1"), true, "unknown flag: --nosuch");
    expect("{}", WORDS("-x"), true, "unknown shorthand flag: 'x' in -x");
    expect("{}", WORDS("-Dx"), true, "unknown shorthand flag: 'x' in -Dx");
    expect("{}", WORDS("--log-level"), true, "flag needs an argument: --log-level");
    expect("{}", WORDS("-l"), true, "flag needs an argument: 'l' in -l");
    expect("{}", WORDS("daemon"), true, "\"berthd\" accepts no arguments: daemon");
    expect("{}", WORDS("--userns-remap", "x"), true, "the flag --userns-remap is not supported");
    expect("{}", WORDS("--debug=maybe"), true,
           "invalid argument \"maybe\" for \"--debug\" flag: strconv.ParseBool: parsing \"maybe\": "
           "invalid syntax");
    expect("{}", WORDS("--mtu=1x"), true,
           "invalid argument \"1x\" for \"--mtu\" flag: strconv.ParseInt: parsing \"1x\": invalid "
           "syntax");
}

static void test_file_is_read(void **state)
{
    config c;

    (void)state;
    accept_words(&c,
                 "\xef\xbb\xbf{\"hosts\": [\"unix:///x\"], \"debug\": true, \"mtu\": 1400,\n"
                 "\"icc\": false, \"log-opts\": {\"max-size\": \"1m\"}, \"dns\": [\"1.1.1.1\"],\n"
                 "\"dns-opts\": [\"ndots:1\"], \"exec-opts\": [\"native.cgroupdriver=cgroupfs\"],\n"
                 "\"runtimes\": {\"r\": {\"path\": \"/bin/r\", \"runtimeArgs\": [\"-v\"]}},\n"
                 "\"default-ulimits\": {\"nofile\": {\"Name\": \"nofile\", \"Soft\": 1, \"Hard\": "
                 "-1}},\n"
                 "\"storage-driver\": \"overlay2\"}",
                 WORDS("--add-runtime", "s=/bin/s"));
    assert_true(c.debug);
    assert_false(c.icc);
    assert_int_equal(c.mtu, 1400);
    assert_string_equal(c.hosts.v[0], "unix:///x");
    assert_string_equal(c.dns_options.v[0], "ndots:1");
    assert_int_equal(c.runtimes.n, 2);
    assert_string_equal(JSON_AT(c.runtimes, runtime_setting, 0)->args.v[0], "-v");
    config_done(&c);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{", "invalid JSON: unexpected input at byte 1"},
        {"[]", "invalid JSON: not an object"},
        {"{\"b\": 1, \"a\": 2}",
         "the following directives don't match any configuration option: b, a"},
        {"{\"userns-remap\": \"x\"}", "the directive userns-remap is not supported"},
        {"{\"debug\": 1}", "invalid JSON: debug must be true or false"},
        {"{\"mtu\": 1.5}", "invalid JSON: mtu must be a whole number"},
        {"{\"mtu\": \"1\"}", "invalid JSON: mtu must be a whole number"},
        {"{\"hosts\": \"unix:///x\"}", "invalid JSON: hosts must be a list of strings"},
        {"{\"hosts\": [1]}", "invalid JSON: hosts must be a list of strings"},
        {"{\"group\": null}", "invalid JSON: group must be a string"},
        {"{\"log-opts\": []}", "invalid JSON: log-opts must be an object"},
        {"{\"log-opts\": {\"max-size\": 1}}",
         "invalid JSON: log-opts must be an object of strings"},
        {"{\"runtimes\": {\"r\": {}}}",
         "invalid JSON: runtimes must be an object of {path, runtimeArgs}"},
        {"{\"runtimes\": {\"r\": {\"path\": \"r\"}}}", "runtime r: its path must be absolute: r"},
        {"{\"default-ulimits\": {\"nofile\": {\"Soft\": 2, \"Hard\": 1}}}",
         "ulimit soft limit must be less than or equal to hard limit: 2 > 1"},
        {"{\"default-ulimits\": {\"nofile\": {\"Soft\": 1e300, \"Hard\": 1e300}}}",
         "invalid JSON: default-ulimits must be an object of {Name, Soft, Hard}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        expect(bad[i].text, NO_WORDS, false, bad[i].message);
}

static void test_conflicts(void **state)
{
    (void)state;
    expect("{\"debug\": false, \"hosts\": [\"unix:///x\", \"fd://\"], \"mtu\": 1400,"
           " \"log-opts\": {\"max-size\": \"1m\"}}",
           WORDS("-D", "-H", "unix:///y", "--mtu=9", "--log-opt", "max-size=2m"), false,
           "the following directives are specified both as a flag and in the configuration file: "
           "debug: (from flag: true, from file: false), "
           "hosts: (from flag: [unix:///y], from file: [unix:///x fd://]), "
           "mtu: (from flag: 9, from file: 1400), "
           "log-opts: (from flag: [max-size=2m], from file: map[max-size:1m])");
}

static void test_values_are_checked(void **state)
{
    static const struct {
        const char *const words[5];
        const char *message;
    } bad[] = {
        {{"-l", "loud"}, "invalid logging level: loud"},
        {{"--log-format=xml"}, "invalid log format: xml"},
        {{"--log-driver=gelf"}, "log-driver gelf is not supported"},
        {{"--log-opt", "x"}, "invalid log-opt (x): must be formatted 'opt=value'"},
        {{"--log-opt", "x=y"}, "unknown log opt 'x' for json-file log driver"},
        {{"--mtu=-1"}, "invalid default MTU: -1"},
        {{"--default-address-pool", "base=10.0.0.0/8"},
         "invalid default address pool: base=10.0.0.0/8"},
        {{"--default-address-pool", "base=10.0.0.0/24,size=16"},
         "invalid default address pool: base=10.0.0.0/24,size=16"},
        {{"--default-network-opt", "bridge=mtu"},
         "invalid default network opt (bridge=mtu): must be formatted 'driver=option=value'"},
        {{"--host-gateway-ip", "10.0.0"}, "IP address is not correctly formatted: 10.0.0"},
        {{"--host-gateway-ip", "10.0.0.1", "--host-gateway-ip", "10.0.0.2"},
         "only one IPv4 host gateway IP address can be specified"},
        {{"-b", "br0", "--bip", "10.0.0.1/8"},
         "You specified -b & --bip, mutually exclusive options. Please specify only one"},
        {{"--icc=false", "--iptables=false"},
         "You specified --iptables=false with --icc=false. ICC=false uses iptables to function. "
         "Please set --icc or --iptables to true"},
        {{"--label", "x"}, "bad attribute format: x"},
        {{"--label", "x=1", "--label", "x=2"}, "conflict labels for x=2 and x=1"},
        {{"--dns", "x"}, "IP address is not correctly formatted: x"},
        {{"--dns-search", "a..b"}, "a..b is not a valid domain"},
        {{"--exec-opt", "x"}, "invalid exec-opt (x): must be formatted 'opt=value'"},
        {{"--exec-opt", "native.cgroupdriver=systemd"},
         "exec-opt native.cgroupdriver=systemd is not supported"},
        {{"-s", "zfs"}, "zfs: driver not supported"},
        {{"--add-runtime", "x"}, "invalid runtime argument: x, it must be formatted 'name=path'"},
        {{"--default-ulimit", "nofile=a"}, "invalid ulimit argument: nofile=a"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        expect("{}", bad[i].words, false, bad[i].message);
}

static void expect_tls(const char *const *words, bool tls, bool verify)
{
    config c;

    accept_words(&c, "{}", words);
    assert_int_equal(c.tls, tls);
    assert_int_equal(c.tlsverify, verify);
    assert_string_equal(c.hosts.v[0], tls ? "tcp://localhost:2376" : "unix:///var/run/docker.sock");
    config_done(&c);
}

/* Safe unless told otherwise: TLS alone asks clients for certificates. */
static void test_tls(void **state)
{
    (void)state;
    unsetenv("DOCKER_TLS_VERIFY");
    expect_tls(NO_WORDS, false, false);
    expect_tls(WORDS("--tls"), true, true);
    expect_tls(WORDS("--tlsverify"), true, true);
    expect_tls(WORDS("--tlsverify=false"), true, false);
    expect_tls(WORDS("--tls", "--tlsverify=false"), true, false);
    setenv("DOCKER_TLS_VERIFY", "1", 1);
    expect_tls(NO_WORDS, true, true);
    expect_tls(WORDS("--tlsverify=false"), true, false);
    unsetenv("DOCKER_TLS_VERIFY");
}

static void test_what_a_reload_cannot_change(void **state)
{
    auto_buf names = {0};
    config was, now;

    (void)state;
    accept_words(&was, "{\"debug\": true, \"labels\": [\"a=b\"], \"dns\": [\"1.1.1.1\"]}",
                 NO_WORDS);
    accept_words(&now, "{\"mtu\": 1400, \"group\": \"x\", \"dns\": [\"1.1.1.1\"]}", NO_WORDS);
    config_fixed_changes(&was, &now, &names);
    assert_string_equal(names.data, "group, mtu");
    config_done(&was);
    config_done(&now);
}

static void test_missing_file(void **state)
{
    const char *argv[] = {"berthd", "--config-file", "/nonexistent/x.json", NULL};
    bool usage;
    config c;
    err *e = config_read(3, (char **)argv, &c, &usage);

    (void)state;
    assert_string_equal(err_message(e), "unable to configure the Docker daemon with file "
                                        "/nonexistent/x.json: open /nonexistent/x.json: No such "
                                        "file or directory");
    err_free(e);
    config_done(&c);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    file = xasprintf("%s/daemon.json", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file);
    free(file);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_forms_of_a_flag),
        cmocka_unit_test(test_lists_repeat), cmocka_unit_test(test_bad_flags),
        cmocka_unit_test(test_file_is_read), cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_conflicts),    cmocka_unit_test(test_values_are_checked),
        cmocka_unit_test(test_tls),          cmocka_unit_test(test_what_a_reload_cannot_change),
        cmocka_unit_test(test_missing_file),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
