/* main.c - berth-monitor: holds one container's stdio, writes its log, keeps its exit status.
 *
 *     berth-monitor --supervise ID           started by berthd with the control connection as 3
 *     berth-monitor --runtime-exec hide_unified -- /path/of/runtime ARG...
 *
 * It needs no daemon: it lives as long as its container, whoever else dies. */
#include "control.h"
#include "runtime_call.h"
#include "supervise.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int fail(const char *text)
{
    const char *parts[] = {"berth-monitor: ", text, "\n"};

    for (size_t i = 0; i < COUNT(parts); i++) {
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            break;
    }
    return 1;
}

/* The daemon drains our stderr; from here on nobody does. */
static void silence(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd < 3 && null >= 0; fd++)
        (void)dup2(null, fd);
    if (null > 2)
        close(null);
}

static int supervise_main(void)
{
    auto_err *e = NULL;

    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TOP_PAD, 4096);
    (void)fcntl(WIRE_CONTROL_FD, F_SETFD, FD_CLOEXEC);
    e = supervise_init();
    if (e)
        return fail(err_message(e));
    silence();
    control_adopt(WIRE_CONTROL_FD);
    events_run();
    return 0;
}

static int runtime_exec_main(char **argv)
{
    auto_err *e = runtime_hide_unified();

    if (e)
        return fail(err_message(e));
    execv(argv[0], argv);
    return fail(strerror(errno));
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--supervise") == 0)
        return supervise_main();
    if (argc >= 5 && strcmp(argv[1], "--runtime-exec") == 0 &&
        strcmp(argv[2], "hide_unified") == 0 && strcmp(argv[3], "--") == 0)
        return runtime_exec_main(argv + 4);
    fail("usage: berth-monitor --supervise ID | --runtime-exec hide_unified -- PROGRAM [ARG...]");
    return 2;
}
