/* monitor_exit.c - reads the exit record that a monitor left.
 *
 * The monitor writes it durably before it tells anybody, so after any crash it is the whole truth
 * or not there.  Any thread. */
#include <berth/mem.h>
#include <berth/monitor.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_MAX = 512 };

/* The number behind "name " at the beginning of a line. */
static bool find_number(const strv *lines, const char *name, int64_t *ret)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < lines->n; i++) {
        if (strncmp(lines->v[i], name, n) == 0 && lines->v[i][n] == ' ')
            return str_to_int64(lines->v[i] + n + 1, ret);
    }
    return false;
}

err *monitor_read_exit(const char *exit_path, monitor_exit *ret)
{
    auto_close int fd = open(exit_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    auto_strv lines = {0};
    char text[RECORD_MAX + 1];
    int64_t code, finished, oom;
    ssize_t n;

    if (fd < 0 && errno == ENOENT)
        return err_new(ERR_NOT_FOUND, "no exit record %s", exit_path);
    n = fd < 0 ? -1 : read(fd, text, RECORD_MAX);
    if (n < 0)
        return err_errno(errno, "read %s", exit_path);
    text[n] = '\0';
    strv_split(&lines, text, '\n');
    if (!lines.n || !str_eq(lines.v[0], "berth-exit 1") || !find_number(&lines, "code", &code) ||
        !find_number(&lines, "finished_ns", &finished) || !find_number(&lines, "oom", &oom))
        return err_new(ERR_SYSTEM, "%s is not an exit record", exit_path);
    *ret = (monitor_exit){.code = (int)code, .finished_ns = finished, .oom = oom != 0};
    return NULL;
}
