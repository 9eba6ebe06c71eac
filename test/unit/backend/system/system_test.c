/* system_test.c - what the daemon says of itself, and that what is kept as text is never stale. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/events.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/system.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/berth-system-XXXXXX";
static strv labels;

static void up(void)
{
    const system_opts opts = {.data_root = dir,
                              .logging_driver = "json-file",
                              .init_path = "/usr/bin/tini",
                              .labels = &labels};

    assert_null(system_init(&opts));
}

static char *info_at(int api_version)
{
    buf out = {0};

    system_info_text(api_version, &out);
    return buf_take(&out);
}

static void expect_in(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        fail_msg("%s is not in %s", piece, text);
}

static void expect_not_in(const char *text, const char *piece)
{
    if (strstr(text, piece))
        fail_msg("%s is in %s", piece, text);
}

static void test_engine_id_stays(void **state)
{
    auto_free char *before = NULL;

    (void)state;
    up();
    before = xstrdup(system_id());
    assert_int_equal(strlen(before), 36);
    assert_int_equal(strspn(before, "0123456789abcdef-"), 36);
    system_done();
    up();
    assert_string_equal(system_id(), before);
    system_done();
}

static void test_info_is_json_with_the_time_in_it(void **state)
{
    auto_arena *a = arena_new();
    auto_free char *first = NULL, *second = NULL;
    info_answer answer = {0}, later = {0};
    int64_t before = time_now_ns(), one, two;

    (void)state;
    up();
    first = info_at(51);
    second = info_at(51); /* from the kept text */
    assert_null(json_decode(&info_answer_json, first, strlen(first), 51, a, &answer));
    assert_null(json_decode(&info_answer_json, second, strlen(second), 51, a, &later));
    assert_null(time_parse_rfc3339(answer.system_time, &one));
    assert_null(time_parse_rfc3339(later.system_time, &two));
    assert_true(before <= one && one < two && two <= time_now_ns());
    assert_string_equal(answer.id, system_id());
    assert_string_equal(answer.id, later.id);
    assert_string_equal(answer.root_dir, dir);
    assert_string_equal(answer.init_binary, "tini");
    assert_int_equal(answer.n_cpu, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(answer.mem_total > 0);
    assert_string_equal(answer.default_runtime, runtime_default()->name);
    assert_true(str_ends(first, "}\n"));
    system_done();
}

static void test_versions_of_the_api(void **state)
{
    static const struct {
        int version;
        const char *piece;
        bool there;
    } rows[] = {
        {51, "\"FirewallBackend\"", true},  {48, "\"FirewallBackend\"", false},
        {51, "\"Expected\"", false},        {48, "\"Expected\"", true},
        {49, "\"BridgeNfIptables\"", true}, {50, "\"BridgeNfIptables\"", false},
        {40, "\"CgroupVersion\"", false},   {41, "\"CgroupVersion\"", true},
        {43, "\"CDISpecDirs\"", false},     {44, "\"CDISpecDirs\"", true},
    };

    (void)state;
    up();
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *text = info_at(rows[i].version);

        (rows[i].there ? expect_in : expect_not_in)(text, rows[i].piece);
    }
    system_done();
}

static void on_event(void *arg, event *e)
{
    (void)arg, (void)e;
}

/* Each thing that may change is changed, and seen. */
static void test_kept_text_is_never_stale(void **state)
{
    static const runtime_extra extra[] = {{"mine", "/bin/true", NULL}};
    auto_free char *plain = NULL, *debug = NULL, *again = NULL, *listened = NULL, *other = NULL;
    event_sub *sub;
    strv more = {0};

    (void)state;
    up();
    plain = info_at(51);
    expect_in(plain, "\"NEventsListener\":0,");
    expect_in(plain, "\"Labels\":[],");
    sub = event_subscribe(on_event, NULL);
    listened = info_at(51);
    expect_in(listened, "\"NEventsListener\":1,");
    event_unsubscribe(sub);
    strv_push(&more, "a=b");
    system_reload(&more, true, true);
    debug = info_at(51);
    expect_in(debug, "\"Debug\":true,");
    expect_in(debug, "\"LiveRestoreEnabled\":true,");
    expect_in(debug, "\"Labels\":[\"a=b\"],");
    expect_not_in(debug, "\"NFd\":0,"); /* only a daemon in debug mode counts them */
    system_reload(&labels, false, false);
    strv_done(&more);
    again = info_at(51);
    expect_in(again, "\"Debug\":false,");
    expect_in(again, "\"Labels\":[],");
    assert_null(runtimes_init(dir, extra, 1, "mine"));
    other = info_at(51);
    expect_in(other, "\"mine\":{\"path\":\"/bin/true\"}");
    expect_in(other, "\"DefaultRuntime\":\"mine\"");
    system_done();
    assert_null(runtimes_init(dir, NULL, 0, ""));
}

static void test_version(void **state)
{
    auto_arena *a = arena_new();
    auto_buf text = {0};
    version_answer v = {0};
    char expected[16];

    (void)state;
    up();
    system_version_text(51, &text);
    assert_null(json_decode(&version_answer_json, text.data, text.len, 51, a, &v));
    snprintf(expected, sizeof(expected), "1.%d", API_MAX);
    assert_string_equal(v.api_version, expected);
    assert_string_equal(v.min_api_version, "1.24");
    assert_string_equal(v.platform.name, "Berth");
    assert_string_equal(v.os, "linux");
    assert_true(v.components.n >= 2);
    assert_string_equal(JSON_AT(v.components, version_component, 0)->name, "Engine");
    assert_string_equal(JSON_AT(v.components, version_component, 1)->version, BERTH_VERSION);
    system_done();
}

static int set_up(void **state)
{
    err *e;

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    e = runtimes_init(dir, NULL, 0, "");
    err_free(e);
    return e ? -1 : 0;
}

static int tear_down(void **state)
{
    err *e = tree_remove(dir);

    (void)state;
    runtimes_done();
    events_done();
    err_free(e);
    return e ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_id_stays),
        cmocka_unit_test(test_info_is_json_with_the_time_in_it),
        cmocka_unit_test(test_versions_of_the_api),
        cmocka_unit_test(test_kept_text_is_never_stale),
        cmocka_unit_test(test_version),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
