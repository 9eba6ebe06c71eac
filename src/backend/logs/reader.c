/* reader.c - a log as a stream: its rotated files first, then the live one, then what is added.
 *
 * One job at a time owns the files and the buffers; between jobs the loop does.  A job reads and
 * formats one block, so memory is a block and what it grows to.  Rotation is noticed by the file's
 * inode: the old one is read to its end first.  Loop thread only, except job_*. */
#include "entry.h"
#include <berth/job.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/watch.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    BLOCK = 256 << 10,
    LINE_MAX_BYTES = 256 << 10, /* 16 KiB of text, each byte escaped as six, and its attributes */
    ROTATED_MAX = 1000,
};

/* A rotated file, plain or gzip. */
typedef struct old_file {
    int fd;
    ino_t inode;
    uint64_t skip; /* lines of it that tail leaves out */
} old_file;

struct log_reader {
    char *path;
    log_query q;
    log_reader_events ev;
    void *arg;

    /* of the job, or of the loop between jobs */
    old_file *olds; /* the newest first */
    size_t n_olds;  /* still to be read, the last one next */
    gzFile old;     /* the one that is being read */
    uint64_t skip, old_at;
    bool stops_in_old; /* the position to stop at was rotated away: in olds[0] */
    int fd;
    ino_t inode;
    off_t at;
    buf carry, out; /* an unfinished line; what is ready */
    bool placed, mid_line[2], at_end, past_until;
    err *error;

    /* of the loop */
    bool in_job, paused, finishing, again, ended, freed;
    int inotify;
    watch *watch;
};

/* ---- on the worker: lines ---- */

static void take_line(log_reader *r, const char *line, size_t n)
{
    log_entry e;
    bool begins;
    int64_t ns;

    if (r->past_until || !log_entry_parse(line, n, &e))
        return;
    if (r->skip) {
        r->skip -= e.ends_line;
        return;
    }
    begins = !r->mid_line[e.is_err];
    r->mid_line[e.is_err] = !e.ends_line;
    if (e.is_err ? !r->q.err : !r->q.out)
        return;
    if (r->q.since_ns || r->q.until_ns) {
        if (!log_entry_time(&e, &ns) || (r->q.since_ns && ns < r->q.since_ns))
            return;
        if (r->q.until_ns && ns > r->q.until_ns) {
            r->past_until = true;
            return;
        }
    }
    log_entry_format(&e, &r->q, begins, &r->out);
}

/* Whole lines are taken; the rest stays in carry.  A line that grows beyond all measure is dropped.
 */
static void take_bytes(log_reader *r, const char *p, size_t n)
{
    const char *nl;

    while ((nl = memchr(p, '\n', n))) {
        size_t len = (size_t)(nl - p);

        if (r->carry.len) {
            buf_add(&r->carry, p, len);
            take_line(r, r->carry.data, r->carry.len);
            buf_truncate(&r->carry, 0);
        } else {
            take_line(r, p, len);
        }
        p += len + 1;
        n -= len + 1;
    }
    buf_add(&r->carry, p, n);
    if (r->carry.len > LINE_MAX_BYTES)
        buf_truncate(&r->carry, 0);
}

/* ---- on the worker: where reading begins ---- */

static int open_old(const log_reader *r, unsigned number)
{
    auto_free char *plain = xasprintf("%s.%u", r->path, number),
                   *packed = xasprintf("%s.%u.gz", r->path, number);
    int fd = open(plain, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? open(packed, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : fd;
}

/* All that there are; one that a rotation moved meanwhile is met twice and taken once. */
static void hold_olds(log_reader *r)
{
    struct stat st;
    int fd;

    for (unsigned i = 1; i <= ROTATED_MAX && (fd = open_old(r, i)) >= 0; i++) {
        ino_t before = r->n_olds ? r->olds[r->n_olds - 1].inode : r->inode;

        if (fstat(fd, &st) < 0 || st.st_ino == before) {
            close(fd);
            continue;
        }
        r->olds = xrealloc(r->olds, (r->n_olds + 1) * sizeof *r->olds);
        r->olds[r->n_olds++] = (old_file){.fd = fd, .inode = st.st_ino};
    }
}

static void drop_old(log_reader *r)
{
    close(r->olds[--r->n_olds].fd);
}

/* From its beginning; the descriptor stays the reader's. */
static gzFile read_from_start(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    gzFile f = NULL;

    if (copy >= 0 && lseek(copy, 0, SEEK_SET) == 0)
        f = gzdopen(copy, "rb");
    if (!f && copy >= 0)
        close(copy);
    return f;
}

static bool line_ends_text(const char *line, size_t n)
{
    log_entry e;

    return log_entry_parse(line, n, &e) && e.ends_line;
}

/* How many lines of text a rotated file ends. */
static uint64_t count_lines(gzFile f)
{
    auto_free char *block = xmalloc(BLOCK);
    auto_buf carry = {0};
    uint64_t lines = 0;
    int n;

    while ((n = gzread(f, block, BLOCK)) > 0) {
        buf_add(&carry, block, (size_t)n);
        for (char *nl; (nl = memchr(carry.data, '\n', carry.len));) {
            lines += line_ends_text(carry.data, (size_t)(nl - carry.data));
            buf_consume(&carry, (size_t)(nl - carry.data) + 1);
        }
    }
    return lines;
}

/* Backwards through the live file until more than want lines of text have been passed; what is
 * still wanted of older files comes back. */
static uint64_t seek_tail(log_reader *r, uint64_t want)
{
    struct stat st;
    auto_free char *block = xmalloc(BLOCK + LINE_MAX_BYTES);
    off_t end;
    size_t kept =
        0; /* the beginning of what was read before: the end of a line that began earlier */
    uint64_t passed = 0;
    bool last = true;

    if (r->fd < 0 || fstat(r->fd, &st) < 0)
        return want;
    for (end = st.st_size; end > 0;) {
        size_t n = end > BLOCK ? BLOCK : (size_t)end;
        char *line_end, *nl;

        memmove(block + n, block, kept);
        if (pread(r->fd, block, n, end - (off_t)n) != (ssize_t)n)
            break;
        end -= (off_t)n;
        n += kept;
        line_end = block + n;
        while ((nl = memrchr(block, '\n', (size_t)(line_end - block)))) {
            if (!last && line_ends_text(nl + 1, (size_t)(line_end - nl - 1)) && ++passed > want) {
                r->at = end + (line_end - block) + 1;
                return 0;
            }
            last = false;
            line_end = nl;
        }
        kept = (size_t)(line_end - block);
        if (kept > LINE_MAX_BYTES)
            kept = 0;
        if (end == 0 && !last && kept && line_ends_text(block, kept) && ++passed > want) {
            r->at = (off_t)kept + 1;
            return 0;
        }
    }
    r->at = 0;
    return want - (passed < want ? passed : want);
}

static void open_live(log_reader *r)
{
    struct stat st;

    r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    r->at = 0;
    if (r->fd >= 0 && fstat(r->fd, &st) == 0)
        r->inode = st.st_ino;
}

/* The file that the position is in may be a rotated one by now: what is newer is not wanted.  When
 * it was packed meanwhile nothing names it, and all that is rotated is taken. */
static void find_stop(log_reader *r)
{
    size_t newer = 0;

    if (!r->q.stop.inode || r->inode == r->q.stop.inode)
        return;
    r->stops_in_old = true;
    while (newer < r->n_olds && r->olds[newer].inode != r->q.stop.inode)
        newer++;
    if (newer == r->n_olds)
        return;
    for (size_t i = 0; i < newer; i++)
        close(r->olds[i].fd);
    r->n_olds -= newer;
    memmove(r->olds, r->olds + newer, r->n_olds * sizeof *r->olds);
}

/* Of the older files, the newest that have so many lines together. */
static void keep_tail(log_reader *r, uint64_t left)
{
    size_t kept = 0;

    for (; left && kept < r->n_olds; kept++) {
        gzFile f = read_from_start(r->olds[kept].fd);
        uint64_t lines = f ? count_lines(f) : 0;

        if (f)
            gzclose(f);
        r->olds[kept].skip = lines > left ? lines - left : 0;
        left -= lines < left ? lines : left;
    }
    while (r->n_olds > kept)
        drop_old(r);
}

static void place(log_reader *r)
{
    r->placed = true;
    if (r->fd < 0)
        open_live(r);
    hold_olds(r);
    find_stop(r);
    if (r->q.tail >= 0)
        keep_tail(r, seek_tail(r, (uint64_t)r->q.tail));
}

/* ---- on the worker: a block ---- */

/* How much of a block may be taken of the file that the position is in. */
static size_t until_stop(const log_reader *r, uint64_t at, size_t n)
{
    uint64_t left = (uint64_t)r->q.stop.size > at ? (uint64_t)r->q.stop.size - at : 0;

    return left < n ? left : n;
}

static void read_old(log_reader *r)
{
    auto_free char *block = xmalloc(BLOCK);
    old_file *f = &r->olds[r->n_olds - 1];
    int n = 0;

    if (!r->old) {
        r->old = read_from_start(f->fd);
        r->old_at = 0;
        r->skip = f->skip;
    }
    if (r->old)
        n = gzread(r->old, block, BLOCK);
    if (n > 0 && f->inode == r->q.stop.inode)
        n = (int)until_stop(r, r->old_at, (size_t)n);
    if (n > 0) {
        r->old_at += (uint64_t)n;
        take_bytes(r, block, (size_t)n);
        return;
    }
    if (r->old)
        gzclose(take(r->old));
    drop_old(r);
    buf_truncate(&r->carry, 0);
}

/* Several rotations since we read last: what was live between ours and the new one is next.  None
 * when ours is not found any more: packed, or dropped as the oldest. */
static void hold_newer(log_reader *r, ino_t ours)
{
    size_t newer = 0;

    hold_olds(r);
    while (newer < r->n_olds && r->olds[newer].inode != ours)
        newer++;
    if (newer == r->n_olds)
        newer = 0;
    for (size_t i = newer; i < r->n_olds; i++)
        close(r->olds[i].fd);
    r->n_olds = newer;
}

/* The live file was renamed or cut: true when there is a new one to read. */
static bool moved_on(log_reader *r)
{
    struct stat st;
    ino_t ours = r->inode;

    if (stat(r->path, &st) < 0)
        return false;
    if (r->fd >= 0 && st.st_ino == r->inode && st.st_size >= r->at)
        return false;
    mem_closep(&r->fd);
    buf_truncate(&r->carry, 0);
    open_live(r);
    if (r->fd >= 0 && ours && ours != r->inode)
        hold_newer(r, ours);
    return r->fd >= 0;
}

static void read_live(log_reader *r)
{
    auto_free char *block = xmalloc(BLOCK);
    size_t wanted = r->q.stop.inode ? until_stop(r, (uint64_t)r->at, BLOCK) : BLOCK;
    ssize_t n = r->fd < 0 || !wanted ? 0 : pread(r->fd, block, wanted, r->at);

    if (n < 0) {
        r->error = err_errno(errno, "read %s", r->path);
        return;
    }
    if (n == 0) {
        r->at_end = r->q.stop.inode || !moved_on(r);
        return;
    }
    r->at += n;
    take_bytes(r, block, (size_t)n);
}

static err *job_read(void *arg)
{
    log_reader *r = arg;

    r->at_end = false;
    if (!r->placed)
        place(r);
    while (!r->out.len && !r->at_end && !r->error && !r->past_until) {
        if (r->n_olds)
            read_old(r);
        else if (r->stops_in_old)
            r->at_end = true;
        else
            read_live(r);
    }
    return take(r->error);
}

/* ---- on the loop ---- */

static void reader_free_now(log_reader *r)
{
    watch_stop(r->watch);
    mem_closep(&r->inotify);
    if (r->old)
        gzclose(r->old);
    while (r->n_olds)
        drop_old(r);
    free(r->olds);
    mem_closep(&r->fd);
    buf_done(&r->carry);
    buf_done(&r->out);
    free(r->path);
    free(r);
}

static void on_freed(void *arg)
{
    reader_free_now(arg);
}

static void end(log_reader *r, err *e)
{
    if (r->ended) {
        err_free(e);
        return;
    }
    r->ended = true;
    r->ev.on_end(r->arg, e);
}

static void go_on(log_reader *r);

static void on_read(void *arg, err *e)
{
    log_reader *r = arg;
    bool was_finishing = r->finishing && !r->again;

    r->in_job = false;
    if (r->freed) {
        err_free(e);
        reader_free_now(r);
        return;
    }
    if (r->out.len) {
        r->paused = !r->ev.on_data(r->arg, r->out.data, r->out.len);
        buf_truncate(&r->out, 0);
        if (r->freed)
            return;
    }
    if (e || r->past_until)
        end(r, e);
    else if (!r->at_end || r->again)
        go_on(r);
    else if (!r->q.follow || was_finishing)
        end(r, NULL);
}

static void go_on(log_reader *r)
{
    if (r->in_job) {
        r->again = true;
        return;
    }
    if (r->paused || r->ended || r->freed)
        return;
    r->in_job = true;
    r->again = false;
    job_begin("logs.read", job_read, r, on_read);
}

static void on_changed(void *arg, int events)
{
    log_reader *r = arg;
    char block[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

    (void)events;
    while (read(r->inotify, block, sizeof(block)) > 0)
        continue;
    go_on(r);
}

/* The folder is watched: the file may not be there yet, or be another one soon. */
static void follow(log_reader *r)
{
    auto_free char *dir = xstrdup(r->path);
    char *slash = strrchr(dir, '/');

    if (slash)
        *slash = '\0';
    r->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (r->inotify < 0 ||
        inotify_add_watch(r->inotify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return;
    r->watch = watch_start("logs.follow", r->inotify, WATCH_READ, on_changed, r);
}

static void on_begin(void *arg)
{
    log_reader *r = arg;

    r->in_job = false;
    if (r->freed)
        reader_free_now(r);
    else
        go_on(r);
}

log_reader *log_reader_new(const char *path, const log_query *q, const log_reader_events *ev,
                           void *arg)
{
    log_reader *r = new0(log_reader);

    r->path = xstrdup(path);
    r->q = *q;
    r->ev = *ev;
    r->arg = arg;
    r->fd = r->inotify = -1;
    if (q->follow)
        follow(r);
    if (q->stop.inode)
        open_live(r); /* now: every moment later it is more likely to be rotated */
    r->in_job = true; /* until on_begin */
    loop_defer(on_begin, r);
    return r;
}

void log_reader_resume(log_reader *r)
{
    r->paused = false;
    go_on(r);
}

void log_reader_finish(log_reader *r)
{
    r->finishing = true;
    go_on(r);
}

void log_reader_free(log_reader *r)
{
    if (!r || r->freed)
        return;
    r->freed = true;
    if (!r->in_job)
        loop_defer(on_freed, r);
}
