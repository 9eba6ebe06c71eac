/* place.c - the files that say that this daemon is here: the lock on its state, the pid file.
 *
 * The lock is what keeps two daemons apart; the pid file is for people and service managers.
 * Blocks; at start and at the end. */
#include "boot.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int lock_fd = -1;
static const char *written_pidfile; /* ours to remove */

static err *lock_data_root(const config *c)
{
    auto_free char *path = xasprintf("%s/lock", c->data_root);

    TRY(tree_make(c->data_root, 0710));
    TRY(tree_make(c->exec_root, 0711));
    lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_fd < 0)
        return err_errno(errno, "open %s", path);
    if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
        return err_new(ERR_CONFLICT, "another berthd uses the data root %s", c->data_root);
    return NULL;
}

/* A number in the file counts only while that process is a berthd. */
static bool is_a_daemon(int64_t pid)
{
    auto_free char *path = xasprintf("/proc/%lld/comm", (long long)pid);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char name[16];
    ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name));

    return pid > 1 && pid != getpid() && n >= 6 && memcmp(name, "berthd", 6) == 0;
}

static err *check_pidfile(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[32] = "";
    int64_t pid;

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return NULL;
    text[strcspn(text, "\r\n ")] = '\0';
    if (!str_to_int64(text, &pid) || !is_a_daemon(pid))
        return NULL;
    return err_new(ERR_CONFLICT,
                   "ensure docker is not running or delete %s: process with PID %lld is still "
                   "running",
                   path, (long long)pid);
}

static err *write_pidfile(const char *path)
{
    const char *slash = strrchr(path, '/');
    auto_free char *dir = slash > path ? xstrndup(path, (size_t)(slash - path)) : NULL;
    char text[24];

    if (dir)
        TRY(tree_make(dir, 0755));
    snprintf(text, sizeof(text), "%d", getpid());
    TRY(file_write(path, text, strlen(text), 0644));
    written_pidfile = path;
    return NULL;
}

err *place_take(const config *c)
{
    TRY(check_pidfile(c->pidfile));
    TRY(lock_data_root(c));
    return write_pidfile(c->pidfile);
}

void place_leave(void)
{
    if (written_pidfile)
        unlink(written_pidfile);
    written_pidfile = NULL;
    mem_closep(&lock_fd);
    lock_fd = -1;
}

/* /etc/group is read first: asking the name service loads its modules into the daemon for good, and
 * that is for groups which only it knows. */
char *place_group(const config *c)
{
    auto_fclose FILE *f = fopen("/etc/group", "re");
    struct group *g;

    if (str_empty(c->group))
        return xstrdup("");
    while (f && (g = fgetgrent(f)))
        if (str_eq(g->gr_name, c->group))
            return xasprintf("%u", g->gr_gid);
    if (!str_eq(c->group, "docker"))
        return xstrdup(c->group);
    log_info("there is no group docker: unix sockets are for root alone");
    return xstrdup("");
}
