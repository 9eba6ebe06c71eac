/* hosts_edit.c - lines come and go in the hosts file of a container that runs.
 *
 * The file is mounted into the container by itself, so it is changed in place: another one of its
 * name would not be seen there.  Blocks; any thread. */
#include <berth/buf.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { HOSTS_MAX = 1024 * 1024 };

static err *read_all(int fd, const char *path, buf *out)
{
    char piece[4096];
    ssize_t n;

    while ((n = read(fd, piece, sizeof piece)) > 0 && out->len < HOSTS_MAX)
        buf_add(out, piece, (size_t)n);
    if (n < 0)
        return err_errno(errno, "read %s", path);
    if (n > 0)
        return err_new(ERR_SYSTEM, "%s is too large to be changed", path);
    return NULL;
}

static err *open_hosts(const char *path, int flags, int *ret_fd)
{
    *ret_fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    if (*ret_fd < 0)
        return err_errno(errno, "open %s", path);
    return NULL;
}

err *netfile_add_lines(const char *path, const strv *lines)
{
    auto_close int fd = -1;
    auto_buf text = {0};

    if (lines->n == 0)
        return NULL;
    for (size_t i = 0; i < lines->n; i++)
        buf_printf(&text, "%s\n", lines->v[i]);
    TRY(open_hosts(path, O_WRONLY | O_APPEND, &fd));
    if (write(fd, text.data, text.len) != (ssize_t)text.len)
        return err_errno(errno, "write %s", path);
    return NULL;
}

static void keep_others(const buf *text, const strv *lines, buf *out)
{
    auto_strv all = {0};
    size_t n;

    strv_split(&all, text->len ? text->data : "", '\n');
    n = all.n && !*all.v[all.n - 1] ? all.n - 1 : all.n; /* the last newline ends a line */
    for (size_t i = 0; i < n; i++)
        if (!strv_has(lines, all.v[i]))
            buf_printf(out, "%s\n", all.v[i]);
}

err *netfile_drop_lines(const char *path, const strv *lines)
{
    auto_close int fd = -1;
    auto_buf text = {0}, kept = {0};

    if (lines->n == 0)
        return NULL;
    TRY(open_hosts(path, O_RDWR, &fd));
    TRY(read_all(fd, path, &text));
    keep_others(&text, lines, &kept);
    if (kept.len >= text.len)
        return NULL;
    if (pwrite(fd, kept.data, kept.len, 0) != (ssize_t)kept.len ||
        ftruncate(fd, (off_t)kept.len) < 0)
        return err_errno(errno, "write %s", path);
    return NULL;
}

err *netfile_replace(const char *path, const char *was, const char *text)
{
    auto_close int fd = -1;
    auto_buf is = {0};
    size_t n = strlen(text);

    TRY(open_hosts(path, O_RDWR, &fd));
    TRY(read_all(fd, path, &is));
    if (!str_eq(str_or(is.data, ""), was))
        return NULL;
    if (pwrite(fd, text, n, 0) != (ssize_t)n || ftruncate(fd, (off_t)n) < 0)
        return err_errno(errno, "write %s", path);
    return NULL;
}
