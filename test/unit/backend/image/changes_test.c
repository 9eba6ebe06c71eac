/* changes_test.c - the instructions of `docker import --change`, and the words for wrong ones. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "private.h"
#include <berth/mem.h>
#include <string.h>

typedef struct change {
    const char *lines[4];
    const char *expected; /* in what the configuration encodes to, or the error's text */
} change;

static const change good[] = {
    {{"CMD [\"sh\", \"-c\"]"}, "\"Cmd\":[\"sh\",\"-c\"]"},
    {{"CMD echo hi"}, "\"Cmd\":[\"/bin/sh\",\"-c\",\"echo hi\"]"},
    {{"cmd [\"a\"]"}, "\"Cmd\":[\"a\"]"},
    {{"CMD [not json"}, "\"Cmd\":[\"/bin/sh\",\"-c\",\"[not json\"]"},
    {{"ENTRYPOINT [\"/e\"]"}, "\"Entrypoint\":[\"/e\"]"},
    {{"ENTRYPOINT exec top"}, "\"Entrypoint\":[\"/bin/sh\",\"-c\",\"exec top\"]"},
    {{"ENV A=b C=\"d e\" F=g\\ h"}, "\"Env\":[\"A=b\",\"C=d e\",\"F=g h\"]"},
    {{"ENV A b c"}, "\"Env\":[\"A=b c\"]"},
    {{"ENV A=1", "ENV A=2"}, "\"Env\":[\"A=2\"]"},
    {{"LABEL k=v \"x y\"='z w'"}, "\"Labels\":{\"k\":\"v\",\"x y\":\"z w\"}"},
    {{"EXPOSE 80 53/udp"}, "\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}}"},
    {{"USER 1000:1000"}, "\"User\":\"1000:1000\""},
    {{"WORKDIR /a", "WORKDIR b"}, "\"WorkingDir\":\"/a/b\""},
    {{"VOLUME [\"/data\", \"/more\"]"}, "\"Volumes\":{\"/data\":{},\"/more\":{}}"},
    {{"VOLUME /x /y"}, "\"Volumes\":{\"/x\":{},\"/y\":{}}"},
    {{"STOPSIGNAL SIGINT"}, "\"StopSignal\":\"SIGINT\""},
    {{"ONBUILD RUN make"}, "\"OnBuild\":[\"RUN make\"]"},
    {{"HEALTHCHECK NONE"}, "\"Healthcheck\":{\"Test\":[\"NONE\"]"},
    {{"HEALTHCHECK CMD true"}, "\"Test\":[\"CMD-SHELL\",\"true\"]"},
    {{"HEALTHCHECK --interval=5s --retries=3 CMD [\"a\"]"},
     "\"Test\":[\"CMD\",\"a\"],\"Interval\":5000000000"},
    {{"  "}, "{}"},
};

static const change bad[] = {
    {{"FROM x"}, "FROM is not a valid change command"},
    {{"RUN x"}, "RUN is not a valid change command"},
    {{"CMD"}, "CMD requires at least one argument"},
    {{"ENV A"}, "ENV must have two arguments"},
    {{"ENV A=b C"}, "Syntax error - can't find = in \"C\". Must be of the form: name=value"},
    {{"LABEL x"}, "LABEL must have two arguments"},
    {{"EXPOSE 70000"}, "70000"},
    {{"EXPOSE x"}, "x"},
    {{"HEALTHCHECK RUN x"}, "in HEALTHCHECK (try CMD)"},
};

static json_strs lines_of(const change *c)
{
    json_strs lines = {(char **)c->lines, 0, true};

    while (lines.n < COUNT(c->lines) && c->lines[lines.n])
        lines.n++;
    return lines;
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        auto_arena *a = arena_new();
        json_strs lines = lines_of(&good[i]);
        image_run_config config = {0};
        auto_buf text = {0};
        auto_err *e = changes_apply(&lines, &config, a);

        if (e)
            fail_msg("%s: %s", good[i].lines[0], err_message(e));
        json_encode(&image_run_config_json, &config, JSON_ANY_VERSION, &text);
        if (!strstr(text.data, good[i].expected))
            fail_msg("%s: %s", good[i].lines[0], text.data);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        auto_arena *a = arena_new();
        json_strs lines = lines_of(&bad[i]);
        image_run_config config = {0};
        auto_err *e = changes_apply(&lines, &config, a);

        if (!e || err_kind(e) != ERR_INVALID || !strstr(err_message(e), bad[i].expected))
            fail_msg("%s: %s", bad[i].lines[0], err_message(e));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_good),
                                              cmocka_unit_test(test_bad)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
