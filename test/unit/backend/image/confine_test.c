/* confine_test.c - what a confined process cannot do any more, tried from within one. */
#include "tar_rig.h"
#include "confine.h"
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* Each gives 0 when it was refused as it should be, else something to tell it by. */
static int may_execute(void)
{
    return execl("/program", "program", NULL) < 0 && errno == EPERM ? 0 : 1;
}

static int may_map_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED && errno == EPERM ? 0 : 1;
}

static int may_make_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return 2;
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM ? 0 : 1;
}

static int may_connect(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int may_trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 && errno == EPERM ? 0 : 1;
}

static int may_unshare(void)
{
    return unshare(CLONE_NEWUSER) < 0 && errno == EPERM ? 0 : 1;
}

static int may_leave_the_root(void)
{
    struct stat st;

    if (chdir("/") < 0 || chroot(".") == 0) /* the capability for it is gone */
        return 2;
    return stat("../../../canary", &st) < 0 && errno == ENOENT ? 0 : 1;
}

static int may_become_another(void)
{
    return setuid(1000) < 0 && errno == EPERM ? 0 : 1;
}

static int does_its_work(void)
{
    auto_close int fd = open("/file", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);

    return fd >= 0 && write(fd, "x", 1) == 1 && fchown(fd, 5, 6) == 0 &&
                   mknod("/null", S_IFCHR | 0600, 0x103) == 0
               ? 0
               : 1;
}

static void test_confined(void **state)
{
    static const struct {
        const char *what;
        int (*tried)(void);
    } cases[] = {
        {"execute", may_execute},
        {"map code", may_map_code},
        {"make code", may_make_code},
        {"connect", may_connect},
        {"trace", may_trace},
        {"unshare", may_unshare},
        {"leave the root", may_leave_the_root},
        {"become another", may_become_another},
        {"work", does_its_work},
    };

    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its runtime makes calls of its own that the filter refuses */
#endif
    for (size_t i = 0; i < COUNT(cases); i++) {
        int root, status;
        scene s;
        pid_t pid;

        scene_up(&s);
        root = open(s.dest, O_RDONLY | O_DIRECTORY);
        pid = fork();
        if (pid == 0)
            _exit(confine(root, false) ? 100 : cases[i].tried());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(root);
        if (!WIFEXITED(status) || WEXITSTATUS(status))
            fail_msg("%s: %x", cases[i].what, (unsigned)status);
        scene_down(&s);
    }
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(test_confined)};

TAR_RIG_MAIN(tests)
