/* gzip.c - a rotated log file becomes FILE.gz, in a child of its own.
 *
 * The child shares nothing with the monitor that could block it, and zlib's 300 KiB go when it
 * ends. The compressed file appears under its name only when it is whole.  Runs in a forked
 * process. */
#include "gzip.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { PIECE = 64 * 1024, GZIP_WINDOW = 15 + 16, GZIP_MEMORY = 8 };

static bool write_all(int fd, const unsigned char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* Push what z holds through to fd; flush is Z_FINISH for the last piece. */
static bool deflate_piece(z_stream *z, int fd, unsigned char *out, int flush)
{
    do {
        z->next_out = out;
        z->avail_out = PIECE;
        if (deflate(z, flush) == Z_STREAM_ERROR)
            return false;
        if (!write_all(fd, out, PIECE - z->avail_out))
            return false;
    } while (z->avail_out == 0);
    return true;
}

static bool deflate_all(z_stream *z, int from, int to)
{
    auto_free unsigned char *in = xmalloc(PIECE), *out = xmalloc(PIECE);
    ssize_t n;

    do {
        n = read(from, in, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        z->next_in = in;
        z->avail_in = (uInt)n;
        if (!deflate_piece(z, to, out, n ? Z_NO_FLUSH : Z_FINISH))
            return false;
    } while (n != 0);
    return true;
}

static bool compress_to(const char *from, const char *part, int64_t last_ns)
{
    auto_close int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    auto_close int out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    char stamp[TIME_TEXT];
    z_stream z = {0};
    gz_header header = {.os = 255};
    auto_free char *extra = NULL;
    bool ok;

    if (in < 0 || out < 0)
        return false;
    time_rfc3339(last_ns, stamp);
    extra = xasprintf("{\"lastTime\":\"%s\"}", stamp);
    header.extra = (Bytef *)extra;
    header.extra_len = (uInt)strlen(extra);
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    ok = deflateSetHeader(&z, &header) == Z_OK && deflate_all(&z, in, out);
    deflateEnd(&z);
    return ok;
}

bool gzip_file(const char *from, const char *to, int64_t last_ns)
{
    auto_free char *part = xasprintf("%s.part", to);

    (void)close_range(3, ~0U, 0);
    if (!compress_to(from, part, last_ns) || rename(part, to) < 0) {
        (void)unlink(part);
        return false;
    }
    return unlink(from) == 0;
}
