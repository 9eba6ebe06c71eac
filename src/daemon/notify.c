/* notify.c - the service manager's notification socket: one datagram per change of state.
 *
 * The protocol is a dozen lines; libsystemd would bring more memory than the whole daemon may use.
 */
#include "boot.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static timer *alive;

void notify_manager(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    auto_close int fd = -1;
    size_t n;

    if (!path || (*path != '/' && *path != '@') || (n = strlen(path)) >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, n);
    if (*path == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&to,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        return; /* a manager that went away is told nothing */
}

static void on_alive(void *arg)
{
    (void)arg;
    notify_manager("WATCHDOG=1");
}

/* WATCHDOG_USEC is how long the manager waits; twice as often is told. */
void notify_alive_begin(void)
{
    const char *pid = getenv("WATCHDOG_PID"), *text = getenv("WATCHDOG_USEC");
    uint64_t period_us = 0;
    int64_t whom = 0;

    if (!text || !str_to_uint64(text, &period_us) || period_us < 2000 ||
        (pid && (!str_to_int64(pid, &whom) || whom != getpid())))
        return;
    alive = timer_every("notify.alive", period_us / 2000, on_alive, NULL);
}

void notify_alive_end(void)
{
    timer_stop(take(alive));
}
