/* seccomp.c - from the packaged profile to the OCI runtime's.
 *
 * The package's profile lets containers unshare and mount, as podman wants it; dockerd's does not
 * without CAP_SYS_ADMIN, and denies io_uring and the AF_ALG and AF_VSOCK sockets.  The table and
 * the socket rules below take the built-in profile down to that.  A profile that comes with a
 * request is translated as it is.  Any thread after seccomp_init. */
#include "seccomp.h"
#include "jsonw.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { PROFILE_MAX = 1 << 20 };

#define SECCOMP_ARCH(F, T)                     \
    F(T, STR, architecture, "architecture", 0) \
    F(T, STRS, sub, "subArchitectures", 0)
JSON_DECLARE(seccomp_arch, SECCOMP_ARCH)
#define SECCOMP_FILTER(F, T)        \
    F(T, STRS, caps, "caps", 0)     \
    F(T, STRS, arches, "arches", 0) \
    F(T, STR, min_kernel, "minKernel", 0)
JSON_DECLARE(seccomp_filter, SECCOMP_FILTER)
#define SECCOMP_ARG(F, T)               \
    F(T, INT, index, "index", 0)        \
    F(T, INT, value, "value", 0)        \
    F(T, INT, value_two, "valueTwo", 0) \
    F(T, STR, op, "op", 0)
JSON_DECLARE(seccomp_arg, SECCOMP_ARG)
#define SECCOMP_RULE(F, T)                             \
    F(T, STRS, names, "names", 0)                      \
    F(T, STR, name, "name", 0)                         \
    F(T, STR, action, "action", 0)                     \
    F(T, OPT_INT, errno_ret, "errnoRet", 0)            \
    F(T, OBJS(seccomp_arg), args, "args", 0)           \
    F(T, OBJ(seccomp_filter), includes, "includes", 0) \
    F(T, OBJ(seccomp_filter), excludes, "excludes", 0)
JSON_DECLARE(seccomp_rule, SECCOMP_RULE)
#define SECCOMP_PROFILE(F, T)                              \
    F(T, STR, default_action, "defaultAction", 0)          \
    F(T, OPT_INT, default_errno_ret, "defaultErrnoRet", 0) \
    F(T, OBJS(seccomp_arch), arch_map, "archMap", 0)       \
    F(T, STRS, architectures, "architectures", 0)          \
    F(T, OBJS(seccomp_rule), syscalls, "syscalls", 0)
JSON_DECLARE(seccomp_profile, SECCOMP_PROFILE)
JSON_DEFINE(seccomp_arch, SECCOMP_ARCH)
JSON_DEFINE(seccomp_filter, SECCOMP_FILTER)
JSON_DEFINE(seccomp_arg, SECCOMP_ARG)
JSON_DEFINE(seccomp_rule, SECCOMP_RULE)
JSON_DEFINE(seccomp_profile, SECCOMP_PROFILE)

#if defined(__x86_64__)
#define ARCH_NAME   "SCMP_ARCH_X86_64"
#define ARCH_FAMILY "amd64"
#elif defined(__aarch64__)
#define ARCH_NAME   "SCMP_ARCH_AARCH64"
#define ARCH_FAMILY "arm64"
#else
#error "name this architecture as libseccomp does"
#endif

/* What the built-in profile allows only with a capability; cap NULL: never. */
static const struct {
    const char *syscall, *cap;
} guarded[] = {
    {"bpf", "SYS_ADMIN"},          {"clone3", "SYS_ADMIN"},
    {"fsconfig", "SYS_ADMIN"},     {"fsmount", "SYS_ADMIN"},
    {"fsopen", "SYS_ADMIN"},       {"fspick", "SYS_ADMIN"},
    {"mount", "SYS_ADMIN"},        {"mount_setattr", "SYS_ADMIN"},
    {"move_mount", "SYS_ADMIN"},   {"open_tree", "SYS_ADMIN"},
    {"pivot_root", "SYS_ADMIN"},   {"setns", "SYS_ADMIN"},
    {"syslog", "SYSLOG"},          {"umount", "SYS_ADMIN"},
    {"umount2", "SYS_ADMIN"},      {"unshare", "SYS_ADMIN"},
    {"clone", "SYS_ADMIN"},        {"reboot", "SYS_BOOT"},
    {"get_mempolicy", "SYS_NICE"}, {"mbind", "SYS_NICE"},
    {"set_mempolicy", "SYS_NICE"}, {"keyctl", NULL},
    {"io_uring_setup", NULL},      {"io_uring_enter", NULL},
    {"io_uring_register", NULL},   {"socket", NULL} /* see socket_rules */,
};
#define CLONE_NAMESPACES 0x7E020000LL

static char *profile_path, *cached;
static cap_set cached_caps;

static bool has_cap(cap_set caps, const char *name)
{
    unsigned n;

    return cap_parse(name, &n) && (caps >> n & 1);
}

static bool arch_listed(const json_strs *arches)
{
    for (size_t i = 0; i < arches->n; i++)
        if (str_eq(arches->v[i], ARCH_FAMILY))
            return true;
    return false;
}

static bool kernel_is_at_least(const char *min)
{
    struct utsname u;
    int want[2] = {0}, have[2] = {0};

    if (uname(&u) < 0 || sscanf(min, "%d.%d", &want[0], &want[1]) < 1 ||
        sscanf(u.release, "%d.%d", &have[0], &have[1]) < 1)
        return false;
    return have[0] != want[0] ? have[0] > want[0] : have[1] >= want[1];
}

/* All that includes names must hold, nothing that excludes names may. */
static bool rule_applies(const seccomp_rule *r, cap_set caps)
{
    const seccomp_filter *in = &r->includes, *ex = &r->excludes;

    for (size_t i = 0; i < in->caps.n; i++)
        if (!has_cap(caps, in->caps.v[i]))
            return false;
    for (size_t i = 0; i < ex->caps.n; i++)
        if (has_cap(caps, ex->caps.v[i]))
            return false;
    if ((in->arches.n && !arch_listed(&in->arches)) || (ex->arches.n && arch_listed(&ex->arches)))
        return false;
    if (in->min_kernel && !kernel_is_at_least(in->min_kernel))
        return false;
    return !ex->min_kernel || !kernel_is_at_least(ex->min_kernel);
}

static bool may_allow(const char *syscall, cap_set caps)
{
    for (size_t i = 0; i < COUNT(guarded); i++)
        if (str_eq(guarded[i].syscall, syscall))
            return guarded[i].cap && has_cap(caps, guarded[i].cap);
    return true;
}

static void arg_write(buf *b, int64_t index, int64_t value, int64_t value_two, const char *op)
{
    jw_open(b, NULL, '{');
    jw_int(b, "index", index);
    jw_int(b, "value", value);
    jw_int(b, "valueTwo", value_two);
    jw_str(b, "op", op);
    jw_close(b, '}');
}

static void rule_write(buf *b, const seccomp_rule *r, cap_set caps, bool builtin)
{
    bool allows = str_eq(r->action, "SCMP_ACT_ALLOW");
    size_t before = b->len, named;

    jw_open(b, NULL, '{');
    jw_open(b, "names", '[');
    named = b->len;
    for (size_t i = 0; i < r->names.n; i++)
        if (!builtin || !allows || may_allow(r->names.v[i], caps))
            jw_str(b, NULL, r->names.v[i]);
    if (r->name)
        jw_str(b, NULL, r->name);
    if (b->len == named) {
        buf_truncate(b, before);
        return;
    }
    jw_close(b, ']');
    jw_str(b, "action", str_or(r->action, ""));
    if (r->errno_ret.set)
        jw_int(b, "errnoRet", r->errno_ret.n);
    if (r->args.n) {
        jw_open(b, "args", '[');
        for (size_t i = 0; i < r->args.n; i++) {
            const seccomp_arg *arg = JSON_AT(r->args, seccomp_arg, i);

            arg_write(b, arg->index, arg->value, arg->value_two, str_or(arg->op, ""));
        }
        jw_close(b, ']');
    }
    jw_close(b, '}');
}

static void allow_if(buf *b, const char *syscall, int64_t index, int64_t value, int64_t value_two,
                     const char *op)
{
    jw_open(b, NULL, '{');
    jw_raw(b, "names", "[");
    json_quote(syscall, b);
    jw_close(b, ']');
    jw_str(b, "action", "SCMP_ACT_ALLOW");
    jw_open(b, "args", '[');
    arg_write(b, index, value, value_two, op);
    jw_close(b, ']');
    jw_close(b, '}');
}

static void refuse(buf *b, const char *syscall, int errno_ret)
{
    jw_open(b, NULL, '{');
    jw_raw(b, "names", "[");
    json_quote(syscall, b);
    jw_close(b, ']');
    jw_str(b, "action", "SCMP_ACT_ERRNO");
    jw_int(b, "errnoRet", errno_ret);
    jw_close(b, '}');
}

/* Every address family but AF_ALG and AF_VSOCK; netlink only with CAP_AUDIT_WRITE or for another
 * protocol than audit is what the package says, and a rule may look at an argument only once. */
static void socket_rules(buf *b)
{
    allow_if(b, "socket", 0, AF_ALG, 0, "SCMP_CMP_LT");
    for (int family = AF_ALG + 1; family < AF_VSOCK; family++)
        allow_if(b, "socket", 0, family, 0, "SCMP_CMP_EQ");
    allow_if(b, "socket", 0, AF_VSOCK, 0, "SCMP_CMP_GT");
}

static void builtin_rules(buf *b, cap_set caps)
{
    socket_rules(b);
    for (size_t i = 0; i < COUNT(guarded); i++) {
        const char *name = guarded[i].syscall;

        if (may_allow(name, caps) || str_eq(name, "socket"))
            continue;
        if (str_eq(name, "clone"))
            allow_if(b, "clone", 0, CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ");
        else
            refuse(b, name, str_eq(name, "clone3") ? ENOSYS : EPERM);
    }
}

static void arches_write(buf *b, const seccomp_profile *p)
{
    jw_open(b, "architectures", '[');
    for (size_t i = 0; i < p->architectures.n; i++)
        jw_str(b, NULL, p->architectures.v[i]);
    for (size_t i = 0; i < p->arch_map.n; i++) {
        const seccomp_arch *arch = JSON_AT(p->arch_map, seccomp_arch, i);

        if (!str_eq(arch->architecture, ARCH_NAME))
            continue;
        jw_str(b, NULL, arch->architecture);
        for (size_t s = 0; s < arch->sub.n; s++)
            jw_str(b, NULL, arch->sub.v[s]);
    }
    jw_close(b, ']');
}

static bool is_socket_rule(const seccomp_rule *r)
{
    return r->names.n == 1 && str_eq(r->names.v[0], "socket");
}

static err *translate(const char *text, cap_set caps, bool builtin, buf *out)
{
    auto_arena *a = arena_new();
    seccomp_profile p = {0};

    TRY(err_wrap(json_decode(&seccomp_profile_json, text, strlen(text), JSON_ANY_VERSION, a, &p),
                 "loading seccomp profile failed"));
    if (str_empty(p.default_action))
        return err_new(ERR_INVALID, "loading seccomp profile failed: it has no defaultAction");
    buf_char(out, '{');
    jw_str(out, "defaultAction", p.default_action);
    if (p.default_errno_ret.set)
        jw_int(out, "defaultErrnoRet", p.default_errno_ret.n);
    arches_write(out, &p);
    jw_open(out, "syscalls", '[');
    for (size_t i = 0; i < p.syscalls.n; i++) {
        const seccomp_rule *r = JSON_AT(p.syscalls, seccomp_rule, i);

        if (rule_applies(r, caps) && !(builtin && is_socket_rule(r)))
            rule_write(out, r, caps, builtin);
    }
    if (builtin)
        builtin_rules(out, caps);
    buf_str(out, "]}");
    return NULL;
}

static err *read_file(const char *path, char **ret_text)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf text = {0};
    char block[16384];
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? err_new(ERR_NOT_FOUND, "seccomp profile %s is not there", path)
                               : err_errno(errno, "open %s", path);
    while ((n = read(fd, block, sizeof(block))) > 0 && text.len < PROFILE_MAX)
        buf_add(&text, block, (size_t)n);
    if (n < 0)
        return err_errno(errno, "read %s", path);
    *ret_text = buf_take(&text);
    return NULL;
}

/* Nearly every container has the default capabilities: their profile is kept ready. */
err *seccomp_init(const char *path)
{
    auto_free char *profile = NULL;
    host_config plain = {0};
    auto_buf text = {0};

    TRY(read_file(path, &profile));
    TRY(caps_for(&plain, false, NULL, &cached_caps));
    TRY(translate(profile, cached_caps, true, &text));
    cached = buf_take(&text);
    profile_path = xstrdup(path); /* read again for the rare other set */
    return NULL;
}

void seccomp_done(void)
{
    free(take(profile_path));
    free(take(cached));
}

bool seccomp_is_there(void)
{
    return cached != NULL;
}

bool seccomp_is_default(cap_set caps)
{
    return cached && caps == cached_caps;
}

err *seccomp_builtin(cap_set caps, buf *out)
{
    auto_free char *text = NULL;

    if (caps == cached_caps) {
        buf_str(out, cached);
        return NULL;
    }
    TRY(read_file(profile_path, &text));
    return translate(text, caps, true, out);
}

err *seccomp_custom(const char *profile, cap_set caps, buf *out)
{
    return translate(profile, caps, false, out);
}
