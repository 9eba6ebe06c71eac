/* notify.c - the service manager's notification socket: one datagram per change of state.
 *
 * The protocol is a dozen lines; libsystemd would bring more memory than the whole daemon may use.
 */
#include "boot.h"
#include <berth/mem.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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
