/* sysctl.c - the few kernel settings that networking needs.  Blocks; any thread. */
#include "sysctl.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

err *sysctl_set(const char *name, const char *value)
{
    auto_free char *path = xasprintf("/proc/sys/net/%s", name);
    auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return err_errno(errno, "write %s to %s", value, path);
    return NULL;
}

err *sysctl_is_set(const char *name, bool *ret_set)
{
    auto_free char *path = xasprintf("/proc/sys/net/%s", name);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char c = '0';

    if (fd < 0 || read(fd, &c, 1) < 0)
        return err_errno(errno, "read %s", path);
    *ret_set = c != '0';
    return NULL;
}

static err *set_if_there(const char *conf, const char *key, const char *value)
{
    auto_free char *name = xasprintf("ipv6/conf/%s/%s", conf, key);
    err *e = sysctl_set(name, value);

    if (err_errnum(e) == ENOENT) {
        err_free(e);
        return NULL;
    }
    return e;
}

err *sysctl_no_ipv6(const char *conf)
{
    TRY(set_if_there(conf, "accept_ra", "0"));
    return set_if_there(conf, "disable_ipv6", "1");
}

err *sysctl_static_ipv6(const char *conf)
{
    TRY(set_if_there(conf, "accept_ra", "0"));
    return set_if_there(conf, "disable_ipv6", "0");
}

bool sysctl_has_ipv6(void)
{
    return access("/proc/sys/net/ipv6", F_OK) == 0;
}
