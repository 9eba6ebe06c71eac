/* runtime_words.c - what an OCI runtime said when it failed, in dockerd's words.
 *
 * Clients look for "executable file not found", "no such file or directory", "permission denied"
 * and "is a directory" and turn them into the exit codes 127 and 126.  runc says just that; crun
 * says the same things otherwise, so its sentences are put into runc's form.  Any thread. */
#include "runtime_words.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define CRUN_NOT_FOUND "executable file `"
#define UNABLE         "unable to start container process: "

/* The message of a JSON log line that tells an error; NULL when it is not one. */
static char *logged_error(const char *line)
{
    cJSON *json = cJSON_Parse(line);
    const char *level = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "level"));
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "msg"));
    char *message = NULL;

    if (text && (!level || str_eq(level, "error") || str_eq(level, "fatal")))
        message = xstrdup(text);
    cJSON_Delete(json);
    return message;
}

/* The last line that tells an error: a JSON one if there is any, else the last that is not empty.
 */
static char *last_error(const char *words)
{
    auto_strv lines = {0};
    const char *plain = NULL;

    strv_split(&lines, words, '\n');
    for (size_t i = lines.n; i-- > 0;) {
        char *message = logged_error(lines.v[i]);

        if (message)
            return message;
        if (!plain && !str_empty(lines.v[i]))
            plain = lines.v[i];
    }
    return xstrdup(str_or(plain, "the runtime gave no reason"));
}

static const char *skip_prefixes(const char *text)
{
    static const char *const prefixes[] = {
        "runc run failed: ", "runc create failed: ", "exec failed: ", "container_linux.go:"};

    for (size_t i = 0; i < COUNT(prefixes); i++) {
        if (str_starts(text, prefixes[i]))
            return text + strlen(prefixes[i]);
    }
    return text;
}

/* "chdir: No such file" becomes "chdir: no such file", as Go prints errno. */
static char *lower_errno(const char *text)
{
    char *copy = xstrdup(text);

    for (char *at = copy; (at = strstr(at, ": ")); at += 2) {
        if (isupper((unsigned char)at[2]) && islower((unsigned char)at[3]))
            at[2] = (char)tolower((unsigned char)at[2]);
    }
    return copy;
}

/* crun's sentences about the program itself, in runc's form; NULL for others. */
static char *crun_sentence(const char *text)
{
    const char *name = text + strlen(CRUN_NOT_FOUND);
    const char *tick = str_starts(text, CRUN_NOT_FOUND) ? strchr(name, '`') : NULL;
    auto_free char *program = tick ? xstrndup(name, (size_t)(tick - name)) : NULL;

    if (program && strchr(program, '/'))
        return xasprintf(UNABLE "exec: \"%s\": stat %s: no such file or directory", program,
                         program);
    if (program)
        return xasprintf(UNABLE "exec: \"%s\": executable file not found in $PATH", program);
    /* Whatever is not a file (a directory) is refused so. */
    if (str_eq(text, "open executable: Operation not permitted"))
        return xstrdup(UNABLE "exec: is a directory: permission denied");
    if (str_eq(text, "open executable: Permission denied"))
        return xstrdup(UNABLE "exec: permission denied");
    return NULL;
}

static bool is_callers_fault(const char *text)
{
    static const char *const signs[] = {"executable file not found", "no such file or directory",
                                        "permission denied", "is a directory", "not a directory"};

    for (size_t i = 0; i < COUNT(signs); i++) {
        if (strstr(text, signs[i]))
            return true;
    }
    return false;
}

err *runtime_words_error(const char *words, const char *runtime, bool is_exec)
{
    auto_free char *last = last_error(words);
    const char *bare = skip_prefixes(last), *slash = strrchr(runtime, '/');
    auto_free char *sentence = crun_sentence(bare);
    const char *advice = "";
    err_class kind;

    if (!sentence)
        sentence = lower_errno(bare);
    kind = is_callers_fault(sentence) ? ERR_INVALID : ERR_SYSTEM;
    if (is_exec)
        return err_new(kind, "OCI runtime exec failed: exec failed: %s", sentence);
    if (strstr(sentence, "not a directory"))
        advice = ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the "
                 "specified host path exists and is the expected type";
    return err_new(kind,
                   "failed to create task for container: failed to create shim task: OCI runtime "
                   "create failed: %s create failed: %s%s",
                   slash ? slash + 1 : runtime, sentence, advice);
}
