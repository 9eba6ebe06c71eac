/* exit_record.c - the exit status on disk.
 *
 * "berth-exit 1" and three numbers as text, padded to a fixed size.  The blocks are reserved when
 * the container starts and overwritten in place at its end; a rename makes the record appear whole,
 * and the directory is synced, so it survives a power cut.  One thread. */
#include "exit_record.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_SIZE = 96 };

static char *reserve_name(const char *path)
{
    return xasprintf("%s.reserve", path);
}

static err *write_padded(const char *name, int flags, const char *text, bool durably)
{
    auto_close int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    char record[RECORD_SIZE];

    memset(record, '\n', sizeof record);
    memcpy(record, text, strlen(text));
    if (fd < 0)
        return err_errno(errno, "open %s", name);
    if (pwrite(fd, record, sizeof record, 0) != (ssize_t)sizeof record)
        return err_errno(errno, "write %s", name);
    if (durably && fsync(fd) < 0)
        return err_errno(errno, "sync %s", name);
    return NULL;
}

static err *sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    auto_free char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_errno(errno, "sync %s", dir);
    return NULL;
}

err *exit_record_reserve(const char *path)
{
    auto_free char *reserve = reserve_name(path);

    (void)unlink(path); /* of the run before */
    return write_padded(reserve, O_TRUNC, "", false);
}

err *exit_record_write(const char *path, int code, int64_t finished_ns, bool oom)
{
    auto_free char *reserve = reserve_name(path);
    auto_free char *text = xasprintf("berth-exit 1\ncode %d\nfinished_ns %lld\noom %d\n", code,
                                     (long long)finished_ns, oom);

    TRY(write_padded(reserve, 0, text, true));
    if (rename(reserve, path) < 0)
        return err_errno(errno, "rename %s", reserve);
    return sync_directory_of(path);
}

void exit_record_cancel(const char *path)
{
    auto_free char *reserve = reserve_name(path);

    (void)unlink(reserve);
}
