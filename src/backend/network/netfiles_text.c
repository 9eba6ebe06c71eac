/* netfiles_text.c - what resolv.c and hosts.c share.  Any thread; netfile_read reads a file. */
#include "netfiles_text.h"
#include <arpa/inet.h>
#include <berth/buf.h>
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORD_MAX = 255 };

err *netfile_read(const char *path, char **ret_text)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    auto_buf text = {0};
    char part[4096];
    struct stat st;
    ssize_t n = 0;

    if (fd < 0 && errno != ENOENT)
        return err_errno(errno, "open %s", path);
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
        return err_new(ERR_SYSTEM, "%s is not a regular file", path);
    while (fd >= 0 && text.len < NETFILE_MAX && (n = read(fd, part, sizeof part)) > 0)
        buf_add(&text, part, (size_t)n);
    if (n < 0)
        return err_errno(errno, "read %s", path);
    *ret_text = buf_take(&text);
    return NULL;
}

bool is_one_word(const char *s)
{
    size_t n = s ? strnlen(s, WORD_MAX + 1) : 0;

    if (n == 0 || n > WORD_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
            return false;
    return true;
}

bool is_ip(const char *s)
{
    unsigned char bytes[16];

    return s && (inet_pton(AF_INET, s, bytes) == 1 || inet_pton(AF_INET6, s, bytes) == 1);
}
