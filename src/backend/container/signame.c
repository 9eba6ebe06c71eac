/* signame.c - signals by the names and numbers that clients send. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    int signo;
} signals[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},       {"CHLD", SIGCHLD},
    {"CLD", SIGCHLD},  {"CONT", SIGCONT}, {"FPE", SIGFPE},       {"HUP", SIGHUP},
    {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},         {"IOT", SIGIOT},
    {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGPOLL},     {"PROF", SIGPROF},
    {"PWR", SIGPWR},   {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
};

enum { RT_FIRST = 34, RT_LAST = 64 }; /* as programs see them: libc keeps 32 and 33 */

/* "RTMIN", "RTMIN+3", "RTMAX-2" */
static bool realtime_parse(const char *name, int *ret_signo)
{
    bool from_min = str_starts(name, "RTMIN");
    int64_t offset = 0;
    int signo;

    if (!from_min && !str_starts(name, "RTMAX"))
        return false;
    if (name[5]) {
        if (name[5] != (from_min ? '+' : '-') || !str_to_int64(name + 6, &offset) || offset < 0 ||
            offset > RT_LAST)
            return false;
    }
    signo = from_min ? RT_FIRST + (int)offset : RT_LAST - (int)offset;
    if (signo < RT_FIRST || signo > RT_LAST)
        return false;
    *ret_signo = signo;
    return true;
}

err *signal_parse(const char *text, int *ret_signo)
{
    const char *name = text;
    int64_t n;

    if (str_to_int64(text, &n)) {
        if (n < 1 || n > RT_LAST)
            return err_new(ERR_INVALID, "invalid signal: %s", text);
        *ret_signo = (int)n;
        return NULL;
    }
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < COUNT(signals); i++) {
        if (strcasecmp(name, signals[i].name) == 0) {
            *ret_signo = signals[i].signo;
            return NULL;
        }
    }
    if (realtime_parse(name, ret_signo))
        return NULL;
    return err_new(ERR_INVALID, "invalid signal: %s", text);
}
