/* tarfile.c - what is uploaded: ustar headers are written by hand, it is one file. */
#include "tarfile.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, LINE = 100 };

static void write_header(char *h, const char *name, uint64_t size)
{
    unsigned sum = 0;

    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "0000644");
    snprintf(h + 108, 8, "0000000");
    snprintf(h + 116, 8, "0000000");
    snprintf(h + 124, 12, "%011" PRIo64, size);
    snprintf(h + 136, 12, "%011o", 1700000000);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
}

/* xorshift64: the same bytes each time, and nothing that compresses. */
static void fill_random(char *p, uint64_t size)
{
    uint64_t state = UINT64_C(0x9E3779B97F4A7C15);

    for (uint64_t i = 0; i + sizeof state <= size; i += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(p + i, &state, sizeof state);
    }
}

upload tarfile_random(const char *name, uint64_t size)
{
    size_t padded = (size + BLOCK - 1) / BLOCK * BLOCK, n = BLOCK + padded + 2 * BLOCK;
    char *bytes = xcalloc(1, n);

    write_header(bytes, name, size);
    fill_random(bytes + BLOCK, size);
    return (upload){.bytes = bytes, .n = n};
}

upload tarfile_lines(uint64_t size)
{
    char *bytes = xcalloc(1, size);

    fill_random(bytes, size);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = i % LINE == LINE - 1 ? '\n' : (char)('A' + (bytes[i] & 31));
    return (upload){.bytes = bytes, .n = size};
}

must_check static err *read_all(int fd, const char *path, upload *ret)
{
    struct stat st;
    auto_free char *bytes = NULL;
    size_t have = 0;

    if (fstat(fd, &st) < 0)
        return err_errno(errno, "%s", path);
    bytes = xcalloc(1, (size_t)st.st_size + 1);
    while (have < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + have, (size_t)st.st_size - have);

        if (n <= 0)
            return err_errno(n < 0 ? errno : EIO, "%s", path);
        have += (size_t)n;
    }
    *ret = (upload){.bytes = take(bytes), .n = have};
    return NULL;
}

err *tarfile_read(const char *path, upload *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    err *e;

    if (fd < 0)
        return err_errno(errno, "%s", path);
    e = read_all(fd, path, ret);
    close(fd);
    return e;
}

void tarfile_free(upload *u)
{
    char *bytes = (char *)(uintptr_t)u->bytes;

    mem_freep(&bytes);
    *u = (upload){0};
}
