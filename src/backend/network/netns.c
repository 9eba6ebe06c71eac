/* netns.c - network namespaces that live as a file.
 *
 * The kernel keeps the namespace per thread.  So a thread is made for each visit and ends with it:
 * no thread of the pool is ever in a foreign namespace, whatever fails.  Blocks; any thread. */
#include <berth/mem.h>
#include <berth/netns.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct visit {
    int fd; /* the namespace to enter; -1 makes one */
    err *(*fn)(void *arg);
    void *arg;
    err *result;
} visit;

static void *visit_main(void *arg)
{
    visit *v = arg;

    if (v->fd < 0 && unshare(CLONE_NEWNET) < 0)
        v->result = err_errno(errno, "make a network namespace");
    else if (v->fd >= 0 && setns(v->fd, CLONE_NEWNET) < 0)
        v->result = err_errno(errno, "enter a network namespace");
    else
        v->result = v->fn(v->arg);
    return NULL;
}

static err *visit_run(visit *v)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, visit_main, v);

    if (rc != 0)
        return err_errno(rc, "start a thread for a network namespace");
    pthread_join(thread, NULL);
    return v->result;
}

static err *loopback_up(void)
{
    auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};

    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0)
        return err_errno(errno, "bring the loopback up");
    return NULL;
}

/* In the new thread: /proc/thread-self is this thread's namespace, /proc/self the process's. */
static err *keep_here(void *path)
{
    TRY(loopback_up());
    if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
        return err_errno(errno, "keep a network namespace at %s", (const char *)path);
    return NULL;
}

static err *make_dir_of(const char *path)
{
    auto_free char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');

    if (!slash || slash == dir)
        return NULL;
    *slash = '\0';
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_errno(errno, "mkdir %s", dir);
    return NULL;
}

/* An empty file to mount on. */
static err *make_file(const char *path)
{
    auto_close int fd = -1;

    fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (fd < 0 && errno == ENOENT) {
        TRY(make_dir_of(path));
        fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    }
    if (fd < 0 && errno == EEXIST) { /* left by an earlier run */
        TRY(netns_remove(path));
        fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    }
    if (fd < 0)
        return err_errno(errno, "create %s", path);
    return NULL;
}

err *netns_create(const char *path)
{
    auto_free char *copy = xstrdup(path);
    visit v = {-1, keep_here, copy, NULL};
    err *e;

    TRY(make_file(path));
    e = visit_run(&v);
    if (e)
        err_log(netns_remove(path), "network namespace is left");
    return e;
}

err *netns_remove(const char *path)
{
    /* EINVAL: nothing is mounted there. */
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return err_errno(errno, "unmount %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(errno, "remove %s", path);
    return NULL;
}

err *netns_run(const char *path, err *(*fn)(void *arg), void *arg)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    visit v = {fd, fn, arg, NULL};

    if (fd < 0)
        return err_errno(errno, "open network namespace %s", path);
    return visit_run(&v);
}
