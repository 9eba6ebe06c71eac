/* logfile.c - the container's log in dockerd's json-file form, with rotation.
 *
 * All lines of one read are formatted into one buffer and written in one system call; they share
 * the time of that read.  A disk that is full loses records, counted, never half of one, and never
 * stops the container.  One thread. */
#include "logfile.h"
#include "gzip.h"
#include "jsonline.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FLUSH_AT = 128 * 1024, /* bytes of formatted records that are worth a write of their own */
    TAIL_FIXED = 128,      /* stream, time and punctuation behind the line */
    LOG_MODE = 0640,
};

/* The beginning of a line whose end did not come yet, and what a split line has in common. */
typedef struct half_line {
    char *text;
    size_t len, cap;
    bool split;       /* a record without newline was written: this is the rest of that line */
    int64_t split_ns; /* all records of a split line carry the time of the first */
} half_line;

struct logfile {
    char *path, *attrs;
    int64_t max_size;
    unsigned max_files;
    bool compress;
    int fd;
    int64_t size; /* of the file, without what is in out */
    char *out;    /* formatted, not yet written */
    size_t out_len, out_size;
    char *tail; /* what follows the line in each record of this read */
    size_t tail_len;
    int64_t now_ns, last_ns;
    half_line half[2];
    pid_t compressor; /* 0: none */
    uint64_t lost;
    int errnum;
};

static const char *const stream_names[2] = {"stdout", "stderr"};

static size_t count_records(const char *p, size_t n)
{
    size_t records = 0;

    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        records++;
    return records;
}

/* Part of a batch was written before the disk was full: cut the file behind its last whole record.
 */
static size_t cut_torn(logfile *l, size_t written)
{
    const char *newline = written ? memrchr(l->out, '\n', written) : NULL;
    size_t whole = newline ? (size_t)(newline + 1 - l->out) : 0;

    if (whole == written || ftruncate(l->fd, l->size + (int64_t)whole) == 0)
        return whole;
    return written;
}

static void flush(logfile *l)
{
    size_t done = 0;

    l->errnum = 0;
    while (done < l->out_len) {
        ssize_t n = write(l->fd, l->out + done, l->out_len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            l->errnum = errno;
            done = cut_torn(l, done);
            l->lost += count_records(l->out + done, l->out_len - done);
            break;
        }
        done += (size_t)n;
    }
    l->size += (int64_t)done;
    l->out_len = 0;
}

static char *rotated_name(const logfile *l, unsigned number, bool gzipped)
{
    return xasprintf("%s.%u%s", l->path, number, gzipped ? ".gz" : "");
}

/* Names move up by one: X.1 to X.2 ..., the oldest goes. */
static void shift_files(const logfile *l)
{
    for (unsigned i = l->max_files - 1; i > 1; i--) {
        auto_free char *from = rotated_name(l, i - 1, l->compress);
        auto_free char *to = rotated_name(l, i, l->compress);

        (void)rename(from, to); /* fails where there are fewer files yet */
    }
}

static void start_compressing(logfile *l)
{
    auto_free char *from = rotated_name(l, 1, false);
    auto_free char *to = rotated_name(l, 1, true);
    pid_t pid;

    pid = fork();
    if (pid == 0)
        _exit(gzip_file(from, to, l->last_ns) ? 0 : 1);
    if (pid > 0)
        l->compressor = pid;
}

static err *open_file(logfile *l, int flags)
{
    struct stat st;
    char last = '\n';

    l->fd = open(l->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, LOG_MODE);
    if (l->fd < 0 || fstat(l->fd, &st) < 0)
        return err_errno(errno, "open log %s", l->path);
    l->size = st.st_size;
    /* A crash may have torn the last record: the next one begins on a line of its own. */
    if (st.st_size > 0 && pread(l->fd, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
        write(l->fd, "\n", 1) == 1)
        l->size++;
    return NULL;
}

static void rotate(logfile *l)
{
    auto_free char *first = rotated_name(l, 1, false);
    int old = l->fd;
    err *e;

    if (l->max_files < 2) {
        (void)unlink(l->path);
    } else {
        shift_files(l);
        (void)rename(l->path, first);
    }
    e = open_file(l, O_TRUNC);
    if (e) { /* no descriptor or no space for a new file: go on in the old one, whatever its name */
        l->errnum = err_errnum(e);
        err_free(e);
        l->fd = old;
        return;
    }
    close(old);
    if (l->compress && l->max_files >= 2)
        start_compressing(l);
}

static bool is_rotation_due(const logfile *l)
{
    return l->max_size >= 0 && l->size + (int64_t)l->out_len >= l->max_size && l->size > 0;
}

bool logfile_is_busy(const logfile *l)
{
    return l->compressor && is_rotation_due(l);
}

/* One record.  The tail of ordinary lines is formatted once per read. */
static void emit(logfile *l, unsigned stream, const char *line, size_t n, bool ended)
{
    half_line *half = &l->half[stream];
    char *out;

    if (l->max_size >= 0 && l->size + (int64_t)l->out_len >= l->max_size) {
        flush(l);
        if (!l->compressor && is_rotation_due(l))
            rotate(l);
    }
    if (!ended && !half->split)
        half->split_ns = l->now_ns;
    out = jsonline_head(l->out + l->out_len, line, n, !ended);
    if (!ended || half->split) {
        out = jsonline_tail_write(out, stream_names[stream], l->attrs, half->split_ns);
    } else {
        if (!l->tail_len)
            l->tail_len =
                (size_t)(jsonline_tail_write(l->tail, stream_names[stream], l->attrs, l->now_ns) -
                         l->tail);
        memcpy(out, l->tail, l->tail_len);
        out += l->tail_len;
    }
    l->out_len = (size_t)(out - l->out);
    l->last_ns = l->now_ns;
    half->split = !ended;
    if (l->out_len >= FLUSH_AT)
        flush(l);
}

static void half_add(half_line *half, const char *p, size_t n)
{
    if (half->len + n > half->cap) {
        half->cap = half->len + n < 1024 ? 1024 : JSONLINE_MAX_LINE;
        half->text = xrealloc(half->text, half->cap);
    }
    memcpy(half->text + half->len, p, n);
    half->len += n;
}

/* Take what completes the kept beginning of a line; returns how many bytes that was. */
static size_t complete_half(logfile *l, unsigned stream, const char *p, size_t n)
{
    half_line *half = &l->half[stream];
    size_t room = JSONLINE_MAX_LINE - half->len, look = n < room ? n : room;
    const char *newline = memchr(p, '\n', look);
    size_t taken = newline ? (size_t)(newline - p) : look;

    half_add(half, p, taken);
    if (newline || half->len == JSONLINE_MAX_LINE) {
        size_t len = half->len;

        half->len = 0;
        emit(l, stream, half->text, len, newline != NULL);
    }
    return taken + (newline != NULL);
}

void logfile_write(logfile *l, unsigned stream, const char *p, size_t n)
{
    const char *end = p + n;

    l->now_ns = time_now_ns();
    l->tail_len = 0;
    while (p < end && l->half[stream].len > 0)
        p += complete_half(l, stream, p, (size_t)(end - p));
    while (p < end) {
        size_t left = (size_t)(end - p), look = left < JSONLINE_MAX_LINE ? left : JSONLINE_MAX_LINE;
        const char *newline = memchr(p, '\n', look);

        if (!newline && left < JSONLINE_MAX_LINE) {
            half_add(&l->half[stream], p, left);
            break;
        }
        emit(l, stream, p, newline ? (size_t)(newline - p) : look, newline != NULL);
        p = newline ? newline + 1 : p + look;
    }
    if (l->out_len)
        flush(l);
}

void logfile_finish(logfile *l, unsigned stream)
{
    half_line *half = &l->half[stream];
    size_t len = half->len;

    if (!len)
        return;
    l->now_ns = time_now_ns();
    l->tail_len = 0;
    half->len = 0;
    emit(l, stream, half->text, len, false);
    flush(l);
}

bool logfile_reaped(logfile *l, pid_t pid)
{
    if (pid != l->compressor || !pid)
        return false;
    l->compressor = 0;
    return true;
}

void logfile_position(const logfile *l, int64_t *ret_size, uint64_t *ret_inode)
{
    struct stat st;

    *ret_size = l->size;
    *ret_inode = fstat(l->fd, &st) == 0 ? st.st_ino : 0;
}

const char *logfile_kept(const logfile *l, unsigned stream, size_t *ret_n)
{
    *ret_n = l->half[stream].len;
    return l->half[stream].text;
}

/* Formatting used up to out_size bytes once; most containers are silent most of the time. */
void logfile_relax(logfile *l)
{
    (void)madvise(l->out, l->out_size, MADV_DONTNEED);
}

uint64_t logfile_lost(const logfile *l)
{
    return l->lost;
}

int logfile_errno(const logfile *l)
{
    return l->errnum;
}

static err *map_scratch(logfile *l)
{
    size_t tail_room = TAIL_FIXED + strlen(l->attrs);

    l->tail = xmalloc(tail_room);
    l->out_size = FLUSH_AT + jsonline_room(JSONLINE_MAX_LINE) + tail_room;
    l->out = mmap(NULL, l->out_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l->out == MAP_FAILED) {
        l->out = NULL;
        return err_errno(errno, "memory of the log");
    }
    return NULL;
}

/* A crash between rotation and compression left X.1: compress it now. */
static void resume_compressing(logfile *l)
{
    auto_free char *first = rotated_name(l, 1, false);

    if (l->compress && l->max_files >= 2 && access(first, F_OK) == 0) {
        l->last_ns = time_now_ns();
        start_compressing(l);
    }
}

err *logfile_open(const logfile_spec *spec, logfile **ret)
{
    logfile *l = new0(logfile);
    err *e;

    l->path = xstrdup(spec->path);
    l->attrs = xstrdup(spec->attrs);
    l->max_size = spec->max_size;
    l->max_files = spec->max_files;
    l->compress = spec->compress;
    e = open_file(l, 0);
    if (!e)
        e = map_scratch(l);
    if (e) {
        logfile_free(l);
        return e;
    }
    resume_compressing(l);
    *ret = l;
    return NULL;
}

void logfile_free(logfile *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    if (l->out)
        munmap(l->out, l->out_size);
    for (unsigned i = 0; i < COUNT(l->half); i++)
        free(l->half[i].text);
    free(l->tail);
    free(l->attrs);
    free(l->path);
    free(l);
}
