/* json_test.c - the field engine: Go's rules, exact numbers, named errors, copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <berth/json.h>
#include <berth/mem.h>
#include <stdio.h>
#include <string.h>

#define LEAF(F, T)             \
    F(T, STR, name, "Name", 0) \
    F(T, INT, size, "Size", OMIT_EMPTY)
JSON_DECLARE(leaf, LEAF)
JSON_DEFINE(leaf, LEAF)
#define TREE(F, T)                                    \
    F(T, STR, str, "Str", 0)                          \
    F(T, OPT_STR, opt_str, "OptStr", 0)               \
    F(T, INT, num, "Num", 0)                          \
    F(T, OPT_INT, opt_num, "OptNum", OMIT_UNSET)      \
    F(T, BOOL, flag, "Flag", 0)                       \
    F(T, OPT_BOOL, opt_flag, "OptFlag", 0)            \
    F(T, STRS, list, "List", 0)                       \
    F(T, STRS, empty, "Empty", EMPTY_LIST)            \
    F(T, CMD, cmd, "Cmd", 0)                          \
    F(T, MAP, map, "Map", 0)                          \
    F(T, SET, set, "Set", OMIT_EMPTY)                 \
    F(T, RAW, raw, "Raw", 0)                          \
    F(T, OBJ(leaf), one, "One", 0)                    \
    F(T, OBJP(leaf), maybe, "Maybe", OMIT_UNSET)      \
    F(T, OBJS(leaf), many, "Many", 0)                 \
    F(T, MAPOF(leaf), named, "Named", EMPTY_LIST)     \
    F(T, MAPLISTOF(leaf), lists, "Lists", OMIT_EMPTY) \
    F(T, STR, young, "Young", SINCE(44))              \
    F(T, STR, old, "Old", UNTIL(43))
JSON_DECLARE(tree, TREE)
JSON_DEFINE(tree, TREE)

static arena *a;

static int set_up(void **state)
{
    (void)state;
    a = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

static tree decoded(const char *text)
{
    tree t = {0};
    err *e = json_decode(&tree_json, text, strlen(text), JSON_ANY_VERSION, a, &t);

    assert_null(e);
    return t;
}

static char *encoded(const tree *t, int version)
{
    auto_buf out = {0};

    json_encode(&tree_json, t, version, &out);
    return arena_strdup(a, out.data);
}

static void assert_refused(const char *text, const char *message)
{
    tree t = {0};
    auto_err *e = json_decode(&tree_json, text, strlen(text), JSON_ANY_VERSION, a, &t);

    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_INVALID);
    assert_string_equal(err_message(e), message);
}

static void test_zero_struct(void **state)
{
    tree t = {0};

    (void)state;
    assert_string_equal(
        encoded(&t, 44),
        "{\"Str\":\"\",\"OptStr\":null,\"Num\":0,\"Flag\":false,\"OptFlag\":null,\"List\":null,"
        "\"Empty\":[],\"Cmd\":null,\"Map\":null,\"Raw\":null,\"One\":{\"Name\":\"\"},\"Many\":null,"
        "\"Named\":{},\"Young\":\"\"}");
}

static void test_round_trip(void **state)
{
    const char *text = "{\"Str\":\"a\\\"\\n\\u00e9\",\"OptStr\":\"o\",\"Num\":-5,\"OptNum\":0,"
                       "\"Flag\":true,\"OptFlag\":"
                       "false,\"List\":[\"x\",null],\"Cmd\":\"one\",\"Map\":{\"k\":\"v\"},\"Set\":{"
                       "\"80/tcp\":{}},\"Raw\":"
                       "{\"b\":[1,2]},\"One\":{\"Name\":\"n\",\"Size\":3},\"Maybe\":{\"Name\":"
                       "\"m\"},\"Many\":[{\"Name\":"
                       "\"1\"},{\"Name\":\"2\"}],\"Named\":{\"z\":{\"Name\":\"zz\"}},\"Lists\":{"
                       "\"p\":null,\"q\":[{"
                       "\"Name\":\"qq\"}]}}";
    tree t = decoded(text), again;
    char *first = encoded(&t, JSON_ANY_VERSION);

    (void)state;
    assert_string_equal(t.str, "a\"\n\xc3\xa9");
    assert_int_equal(t.list.n, 2);
    assert_string_equal(t.list.v[1], "");
    assert_null(t.list.v[2]);
    assert_int_equal(t.cmd.n, 1);
    assert_string_equal(t.raw.text, "{\"b\":[1,2]}");
    assert_false(t.lists.v[0].set);
    again = decoded(first);
    assert_string_equal(first, encoded(&again, JSON_ANY_VERSION));
}

static void test_whole_numbers_are_exact(void **state)
{
    tree t = decoded("{\"Num\":9223372036854775807,\"Raw\":{\"n\":-9007199254740993}}");

    (void)state;
    assert_true(t.num == INT64_MAX);
    assert_string_equal(t.raw.text, "{\"n\":-9007199254740993}");
    assert_refused("{\"Num\":92233720368547758070}", "Num: number out of range");
    assert_refused("{\"Num\":1.5}", "Num: not a whole number");
    assert_refused("{\"Num\":\"5\"}", "Num: not a number");
    assert_true(decoded("{\"Num\":1e3}").num == 1000);
}

static void test_keys_as_go_takes_them(void **state)
{
    tree t = decoded("{\"sTR\":\"near\",\"Str\":\"exact\",\"num\":1,\"NUM\":2,\"Unknown\":{\"x\":[]"
                     "},\"Flag\":null}");

    (void)state;
    assert_string_equal(t.str, "exact");
    assert_int_equal(t.num, 2);
    assert_false(t.flag);
}

static void test_versions(void **state)
{
    tree t = {0};

    (void)state;
    assert_null(json_decode(&tree_json, "{\"Young\":\"y\",\"Old\":\"o\"}", 23, 43, a, &t));
    assert_null(t.young);
    assert_string_equal(t.old, "o");
    assert_null(strstr(encoded(&t, 43), "Young"));
    assert_null(strstr(encoded(&t, 44), "Old"));
}

static void test_errors_name_the_place(void **state)
{
    (void)state;
    assert_refused("{\"Many\":[{\"Size\":1},{\"Size\":true}]}", "Many[1].Size: not a number");
    assert_refused("{\"Named\":{\"k\":{\"Name\":5}}}", "Named.k.Name: not a string");
    assert_refused("{\"Map\":{\"k\":1}}", "Map.k: not a string");
    assert_refused("[]", "body: not an object");
    assert_refused("", "invalid JSON: got EOF while reading request body");
    assert_refused("{} x", "unexpected content after JSON");
    assert_refused("{}{}", "unexpected content after JSON");
    assert_refused("{\"Str\":\"\\u0000\"}", "invalid JSON: a string holds a NUL character");
    assert_refused("{\"Str\":\"\xff\"}", "invalid JSON: it is not UTF-8");
}

static void test_depth_is_bounded(void **state)
{
    char text[2 * JSON_MAX_DEPTH + 64];
    size_t n = (size_t)snprintf(text, sizeof(text), "{\"Raw\":");

    (void)state;
    memset(text + n, '[', JSON_MAX_DEPTH);
    memset(text + n + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    strncpy(text + n + 2 * JSON_MAX_DEPTH, "}", 2);
    assert_refused(text, "invalid JSON: nested deeper than 128");
}

static void test_copy_is_deep(void **state)
{
    arena *other = arena_new();
    tree from, to;

    (void)state;
    from = decoded(
        "{\"Str\":\"s\",\"List\":[\"x\"],\"Map\":{\"k\":\"v\"},\"Maybe\":{\"Name\":\"m\"},"
        "\"Named\":{\"n\":{\"Name\":\"nn\"}},\"Lists\":{\"l\":[{\"Name\":\"ll\"}]},\"Raw\":[1]}");
    json_copy(&tree_json, &from, other, &to);
    assert_string_equal(encoded(&from, JSON_ANY_VERSION), encoded(&to, JSON_ANY_VERSION));
    assert_ptr_not_equal(from.list.v[0], to.list.v[0]);
    assert_ptr_not_equal(from.maybe, to.maybe);
    arena_free(a);
    a = arena_new();
    assert_non_null(strstr(encoded(&to, JSON_ANY_VERSION), "\"Name\":\"ll\""));
    arena_free(other);
}

static void test_lists_grow(void **state)
{
    json_strs s = decoded("{\"List\":[\"0\",\"1\",\"2\"]}").list;
    json_map m = {0};

    (void)state;
    for (int i = 3; i < 100; i++)
        json_strs_add(&s, a, arena_printf(a, "%d", i));
    for (int i = 0; i < 100; i++) {
        assert_string_equal(s.v[i], arena_printf(a, "%d", i));
        json_map_set(&m, a, s.v[i], "x");
    }
    assert_null(s.v[100]);
    json_map_set(&m, a, "50", "y");
    assert_int_equal(m.n, 100);
    assert_string_equal(json_map_get(&m, "50"), "y");
}

static void test_quoting(void **state)
{
    auto_buf out = {0};

    (void)state;
    json_quote_n("<a>&\x01\t\xe2\x80\xa8\xff", 10, &out);
    assert_string_equal(out.data, "\"<a>&\\u0001\\t\\u2028\\ufffd\"");
}

/* Eight bytes are looked at in one go: each byte at each place of them is seen. */
static void test_quoting_sees_every_byte(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < 24; at++) {
            char text[24], wanted[64], one[8];
            auto_buf out = {0};

            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            if (c >= 0x80)
                snprintf(one, sizeof(one), "\\ufffd");
            else if (c == '"' || c == '\\')
                snprintf(one, sizeof(one), "\\%c", c);
            else if (c < ' ' && strchr("\b\f\n\r\t", (int)c) && c)
                snprintf(one, sizeof(one), "\\%c", "btn_fr"[c - '\b']);
            else
                snprintf(one, sizeof(one), c < ' ' ? "\\u%04x" : "%c", c);
            snprintf(wanted, sizeof(wanted), "\"%.*s%s%.*s\"", (int)at, "xxxxxxxxxxxxxxxxxxxxxxxx",
                     one, (int)(23 - at), "xxxxxxxxxxxxxxxxxxxxxxxx");
            json_quote_n(text, sizeof(text), &out);
            assert_string_equal(out.data, wanted);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_zero_struct, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_whole_numbers_are_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_as_go_takes_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_versions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_name_the_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_depth_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copy_is_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists_grow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quoting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quoting_sees_every_byte, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
