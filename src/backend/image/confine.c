/* confine.c - what the unpacking helper gives up before it reads a byte.
 *
 * After this the process has no network, six capabilities, bounded memory and time, the directory
 * to fill as its root, and can neither execute a program nor map code: whatever the tree holds is
 * data.  Runs in the helper: it blocks, one thread. */
#include "confine.h"
#include <berth/mem.h>
#include <errno.h>
#include <iconv.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define AUDIT_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "name this architecture as the kernel's audit does"
#endif

enum {
    MEMORY_MAX_MIB = 512, /* a zstd window of 128 MiB, the libraries, and the list of directories */
    CPU_MAX_S = 1800,
    FILES_MAX = 4096, /* the depth of a directory that one member can replace */
};

/* The C library reads its list of character sets at the first use, from absolute paths: now, while
 * they are the host's. */
static void preload(void)
{
    iconv_t conversion = iconv_open("UTF-8", "ANSI_X3.4-1968");

    if (conversion != (iconv_t)-1)
        iconv_close(conversion);
}

static void set_limits(void)
{
    struct rlimit cpu = {CPU_MAX_S, CPU_MAX_S}, files = {FILES_MAX, FILES_MAX}, none = {0, 0};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit memory = {(rlim_t)MEMORY_MAX_MIB << 20, (rlim_t)MEMORY_MAX_MIB << 20};

    setrlimit(RLIMIT_AS, &memory);
#endif
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CORE, &none);
}

static err *drop_capabilities(void)
{
    static const unsigned kept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
                                    CAP_FSETID, CAP_MKNOD,        CAP_SETFCAP};
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};
    uint64_t set = 0;

    for (size_t i = 0; i < COUNT(kept); i++)
        set |= 1ULL << kept[i];
    for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (!(set >> cap & 1))
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    for (int i = 0; i < 2; i++)
        data[i].effective = data[i].permitted = (uint32_t)(set >> (32 * i));
    if (syscall(SYS_capset, &header, data) < 0)
        return err_errno(errno, "capabilities could not be dropped");
    return NULL;
}

#define LOAD(field)   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define REFUSED       (SECCOMP_RET_ERRNO | EPERM)
/* Refuse a call; go on otherwise. */
#define NEVER(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), ANSWER(REFUSED)
/* Refuse a call whose third argument asks for executable memory; its number is in the accumulator
 * before and after. */
#define NO_CODE(number)                                                         \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 4), LOAD(args[2]),         \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), ANSWER(REFUSED), \
        ANSWER(SECCOMP_RET_ALLOW)

/* The low half of the third argument comes first in memory on both architectures. */
static err *refuse_code(void)
{
    struct sock_filter rules[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCHITECTURE, 1, 0),
        ANSWER(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
#ifdef __x86_64__
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* the x32 numbers */
        ANSWER(SECCOMP_RET_KILL_PROCESS),
#endif
        NEVER(SYS_execve),
        NEVER(SYS_execveat),
        NEVER(SYS_socket),
        NEVER(SYS_ptrace),
        NEVER(SYS_unshare),
        NEVER(SYS_setns),
        NEVER(SYS_bpf),
        NEVER(SYS_io_uring_setup),
        NO_CODE(SYS_mmap),
        NO_CODE(SYS_mprotect),
        NO_CODE(SYS_pkey_mprotect),
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(rules), rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        return err_errno(errno, "system calls could not be restricted");
    return NULL;
}

err *confine(int root_fd, bool own_mounts)
{
    preload();
    set_limits();
    umask(0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (unshare((own_mounts ? 0 : CLONE_NEWNS) | CLONE_NEWNET | CLONE_NEWIPC) < 0)
        return err_errno(errno, "namespaces could not be unshared");
    if (fchdir(root_fd) < 0 || chroot(".") < 0)
        return err_errno(errno, "chroot");
    TRY(drop_capabilities());
    return refuse_code();
}
