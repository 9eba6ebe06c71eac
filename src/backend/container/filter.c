/* filter.c - the seccomp filter that crun compiled, kept for later starts.
 *
 * Compiling the built-in profile takes crun longer than everything else it does for a start.  It
 * leaves the result in its state directory; the first container's is read there once and handed to
 * crun for every later one of the same profile, which is nearly all of them.  Loop thread only,
 * except job_*. */
#include "private.h"
#include <berth/job.h>
#include <berth/mem.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILTER_MAX = 64 << 10 }; /* the kernel takes at most 4096 instructions of 8 bytes */

typedef struct learning {
    char *path, *text;
} learning;

static char *known; /* base64 */
static bool is_learning;

static char *base64(const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    auto_buf out = {0};

    for (size_t i = 0; i < n; i += 3) {
        unsigned word = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) |
                        (i + 2 < n ? p[i + 2] : 0);

        buf_char(&out, digits[word >> 18]);
        buf_char(&out, digits[word >> 12 & 63]);
        buf_char(&out, i + 1 < n ? digits[word >> 6 & 63] : '=');
        buf_char(&out, i + 2 < n ? digits[word & 63] : '=');
    }
    return buf_take(&out);
}

static err *job_read_filter(void *arg)
{
    learning *l = arg;
    auto_close int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    auto_free unsigned char *filter = xmalloc(FILTER_MAX);
    ssize_t n = fd < 0 ? -1 : read(fd, filter, FILTER_MAX);

    if (n < 0)
        return err_errno(errno, "read %s", l->path);
    if (n == 0 || n % 8 || n == FILTER_MAX)
        return err_new(ERR_SYSTEM, "%s is not a filter", l->path);
    l->text = base64(filter, (size_t)n);
    return NULL;
}

/* A container that ended already has taken its filter along: the next one is asked. */
static void on_read(void *arg, err *e)
{
    learning *l = arg;

    is_learning = false;
    if (!e && !known)
        known = take(l->text);
    err_free(e);
    free(l->path);
    free(l->text);
    free(l);
}

static bool is_for_crun(const container *c)
{
    return str_eq(c->runtime->name, "crun") && spec_is_plain_seccomp(c->rec.host);
}

const char *filter_for(const container *c)
{
    return known && is_for_crun(c) ? known : NULL;
}

void filter_learn(const container *c)
{
    learning *l;

    if (known || is_learning || !is_for_crun(c))
        return;
    is_learning = true;
    l = new0(learning);
    l->path =
        xasprintf("%s/runtimes/runtime-crun/%s/seccomp.bpf", containers_conf.exec_root, c->rec.id);
    job_begin("container.filter", job_read_filter, l, on_read);
}

void filter_done(void)
{
    free(take(known));
}
