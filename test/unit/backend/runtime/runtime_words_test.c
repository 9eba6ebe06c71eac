/* runtime_words_test.c - what runtimes say, in the words that clients look for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "runtime_words.h"
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

#define RUN_WORDS(name)                                                                    \
    "failed to create task for container: failed to create shim task: OCI runtime create " \
    "failed: " name " create failed: "
#define UNABLE "unable to start container process: "

static void expect(const char *words, const char *program, bool is_exec, err_class kind,
                   const char *text)
{
    err *e = runtime_words_error(words, program, is_exec);

    assert_non_null(e);
    assert_string_equal(err_message(e), text);
    assert_int_equal(err_kind(e), kind);
    err_free(e);
}

static void test_crun(void **state)
{
    (void)state;
    expect("{\"msg\":\"executable file `x` not found in $PATH: No such file or directory\","
           "\"level\":\"error\",\"time\":\"t\"}\n",
           "/usr/bin/crun", false, ERR_INVALID,
           RUN_WORDS("crun") UNABLE "exec: \"x\": executable file not found in $PATH");
    expect("{\"msg\":\"executable file `/a/b` not found in $PATH: No such file or directory\","
           "\"level\":\"error\"}",
           "/usr/bin/crun", false, ERR_INVALID,
           RUN_WORDS("crun") UNABLE "exec: \"/a/b\": stat /a/b: no such file or directory");
    expect("{\"msg\":\"open executable: Permission denied\",\"level\":\"error\"}", "crun", true,
           ERR_INVALID, "OCI runtime exec failed: exec failed: " UNABLE "exec: permission denied");
    expect("{\"msg\":\"open executable: Operation not permitted\",\"level\":\"error\"}", "crun",
           false, ERR_INVALID, RUN_WORDS("crun") UNABLE "exec: is a directory: permission denied");
    expect("{\"msg\":\"chdir: No such file or directory\",\"level\":\"error\"}", "crun", false,
           ERR_INVALID, RUN_WORDS("crun") "chdir: no such file or directory");
}

static void test_runc(void **state)
{
    (void)state;
    expect("{\"level\":\"warning\",\"msg\":\"never mind\"}\n"
           "{\"level\":\"error\",\"msg\":\"runc run failed: " UNABLE
           "exec: \\\"x\\\": executable file not found in $PATH\",\"time\":\"t\"}\n",
           "/usr/sbin/runc", false, ERR_INVALID,
           RUN_WORDS("runc") UNABLE "exec: \"x\": executable file not found in $PATH");
    expect("{\"level\":\"error\",\"msg\":\"exec failed: " UNABLE
           "exec: \\\"x\\\": executable file not found in $PATH\"}",
           "/usr/sbin/runc", true, ERR_INVALID,
           "OCI runtime exec failed: exec failed: " UNABLE
           "exec: \"x\": executable file not found in $PATH");
}

static void test_others(void **state)
{
    (void)state;
    expect("warning: odd\nit broke\n\n", "/opt/mine", false, ERR_SYSTEM,
           RUN_WORDS("mine") "it broke");
    expect("", "mine", false, ERR_SYSTEM, RUN_WORDS("mine") "the runtime gave no reason");
    /* The first line of what was kept may be cut: it is not the message when a whole one follows.
     */
    expect("sg\":\"cut\"}\n{\"msg\":\"whole\",\"level\":\"error\"}\nplain", "mine", false,
           ERR_SYSTEM, RUN_WORDS("mine") "whole");
    expect("{\"msg\":\"mount: Not a directory\",\"level\":\"error\"}", "mine", false, ERR_INVALID,
           RUN_WORDS("mine") "mount: not a directory: Are you trying to mount a directory onto a "
                             "file (or vice-versa)? Check if the specified host path exists and is "
                             "the expected type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crun),
        cmocka_unit_test(test_runc),
        cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
