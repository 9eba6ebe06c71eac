/* unpack.c - one run of the unpacking helper.
 *
 * The helper may not set trusted attributes, so it tells which directories are opaque and the
 * daemon's worker marks them, reaching each by openat2 from the root.  Loop thread only, except
 * unpack_result. */
#include "unpack.h"
#include <berth/child.h>
#include <berth/mem.h>
#include <berth/buf.h>
#include <berth/reference.h>
#include <berth/untar.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { RESULT_MAX = 64 << 20 };

struct unpack {
    child *child; /* while it runs */
    int result_fd;
    void (*done)(void *arg, err *e, unpack *u);
    void *arg;
};

static void on_exit_seen(void *arg, err *e, const child_exit *exit)
{
    unpack *u = arg;
    err *told = e;

    u->child = NULL;
    if (e && exit && !exit->signal && *exit->last_line) {
        told = err_new(exit->status == UNTAR_HOST_FAILED ? ERR_SYSTEM : ERR_INVALID, "%s",
                       exit->last_line);
        err_free(e);
    }
    u->done(u->arg, told, u);
}

err *unpack_begin(const char *dir, apply_mode mode, int in_fd,
                  void (*done)(void *arg, err *e, unpack *u), void *arg, unpack **ret)
{
    static const char *const words[] = {
        [APPLY_MEMBERS] = "members", [APPLY_PLAIN] = "plain", [APPLY_LAYER] = "layer"};
    char *argv[] = {UNTAR_ARG0, (char *)words[mode], NULL};
    auto_close int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_close int result = memfd_create("unpacked", MFD_CLOEXEC);
    int extra[] = {root, result};
    child_opts opts = {.name = "untar",
                       .argv = argv,
                       .file = "/proc/self/exe",
                       .stdin_fd = in_fd,
                       .extra_fds = extra,
                       .n_extra_fds = 2};
    unpack *u;
    err *e;

    if (root < 0 || result < 0)
        return err_errno(errno, "open %s", dir);
    u = new0(unpack);
    u->done = done;
    u->arg = arg;
    e = child_spawn(&opts, on_exit_seen, u, &u->child);
    if (e) {
        free(u);
        return e;
    }
    u->result_fd = take_fd(&result);
    *ret = u;
    return NULL;
}

void unpack_kill(unpack *u)
{
    if (u && u->child)
        child_kill(u->child, SIGKILL);
}

void unpack_free(unpack *u)
{
    if (!u)
        return;
    mem_closep(&u->result_fd);
    free(u);
}

void unpacked_done(unpacked *u)
{
    strv_done(&u->opaques);
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL when it is not hex. */
static char *unhex(const char *hex)
{
    size_t n = strlen(hex);
    auto_free char *out = xcalloc(n / 2 + 1, 1);

    for (size_t i = 0; i < n; i += 2) {
        int high = nibble(hex[i]), low = nibble(hex[i + 1]);

        if (high < 0 || low < 0)
            return NULL;
        out[i / 2] = (char)(high << 4 | low);
    }
    return take(out);
}

/* A directory that a later member replaced hides nothing any more. */
static err *mark_opaque(int root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    auto_close int fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? NULL
                   : err_errno(errno, "open %s", path);
    if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
        return err_errno(errno, "mark %s", path);
    return NULL;
}

static err *read_result(int fd, char **ret_text)
{
    auto_buf text = {0};
    char block[16384];
    ssize_t n;

    while ((n = pread(fd, block, sizeof(block), (off_t)text.len)) > 0) {
        if (text.len > RESULT_MAX)
            return err_new(ERR_INVALID, "too many opaque directories");
        buf_add(&text, block, (size_t)n);
    }
    if (n < 0)
        return err_errno(errno, "read the unpacking helper's result");
    *ret_text = buf_take(&text);
    return NULL;
}

static bool take_line(char *line, unpacked *u)
{
    char *value = strchr(line, ' ');

    if (!value)
        return false;
    *value++ = '\0';
    if (str_eq(line, "packed"))
        snprintf(u->packed, sizeof(u->packed), "sha256:%.64s", value);
    else if (str_eq(line, "plain"))
        snprintf(u->plain, sizeof(u->plain), "sha256:%.64s", value);
    else if (str_eq(line, "size"))
        return str_to_int64(value, &u->size);
    else if (str_eq(line, "opaque"))
        strv_push(&u->opaques, str_eq(value, "-") ? "" : value);
    else
        return false;
    return true;
}

/* All lines up to "end": without that one the helper did not come to its end. */
static err *parse_result(char *text, unpacked *ret)
{
    char *cursor = text, *line;

    while ((line = strsep(&cursor, "\n")) && !str_eq(line, "end"))
        if (!take_line(line, ret))
            return err_new(ERR_SYSTEM, "the unpacking helper told nonsense");
    if (!line || !digest_is_valid(ret->packed) || !digest_is_valid(ret->plain))
        return err_new(ERR_SYSTEM, "the unpacking helper did not tell all");
    return NULL;
}

err *unpack_result(unpack *u, const char *dir, unpacked *ret)
{
    auto_free char *text = NULL;
    auto_close int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return err_errno(errno, "open %s", dir);
    TRY(read_result(u->result_fd, &text));
    TRY(parse_result(text, ret));
    for (size_t i = 0; i < ret->opaques.n; i++) {
        auto_free char *path = unhex(ret->opaques.v[i]);

        if (!path)
            return err_new(ERR_SYSTEM, "the unpacking helper told nonsense");
        TRY(mark_opaque(root, path));
    }
    return NULL;
}
