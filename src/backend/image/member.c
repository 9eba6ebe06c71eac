/* member.c - an entry of an archive, as libarchive read it, for the applier.
 *
 * libarchive only reads: no lookup of names, no conversion of characters, nothing is ever loaded
 * for either.  Runs in the helper: it blocks, one thread. */
#include "member.h"
#include <errno.h>
#include <unistd.h>

static err *write_block(int fd, const char *p, size_t n, la_int64_t offset)
{
    while (n) {
        ssize_t w = pwrite(fd, p, n, offset);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_errno(errno, "write");
        p += w;
        offset += w;
        n -= (size_t)w;
    }
    return NULL;
}

/* Holes are left out: blocks come with their offsets. */
static err *write_data(void *arg, int fd)
{
    const void *block;
    size_t n;
    la_int64_t offset;
    int rc;

    while ((rc = archive_read_data_block(arg, &block, &n, &offset)) == ARCHIVE_OK)
        TRY(write_block(fd, block, n, offset));
    if (rc != ARCHIVE_EOF)
        return err_new(ERR_INVALID, "unexpected EOF: %s", archive_error_string(arg));
    return NULL;
}

static void each_xattr(void *arg, xattr_seen *seen, void *ctx)
{
    struct archive_entry *e = arg;
    const char *name;
    const void *value;
    size_t n;

    archive_entry_xattr_reset(e);
    while (archive_entry_xattr_next(e, &name, &value, &n) == ARCHIVE_OK)
        if (name)
            seen(ctx, name, value, n);
}

void member_formats(struct archive *a)
{
    archive_read_support_format_tar(a);
    archive_read_support_format_empty(a);
    archive_read_set_options(a, "hdrcharset=BINARY");
}

err *member_of(struct archive *a, struct archive_entry *e, tar_member *ret)
{
    *ret = (tar_member){
        .path = archive_entry_pathname(e),
        .hardlink = archive_entry_hardlink(e),
        .symlink = archive_entry_symlink(e),
        .mode = archive_entry_mode(e),
        .uid = archive_entry_uid(e),
        .gid = archive_entry_gid(e),
        .mtime = {archive_entry_mtime(e), archive_entry_mtime_nsec(e)},
        .major = (int64_t)archive_entry_rdevmajor(e),
        .minor = (int64_t)archive_entry_rdevminor(e),
        .size = archive_entry_size(e),
        .write_data = write_data,
        .data_arg = a,
        .each_xattr = each_xattr,
        .xattr_arg = e,
    };
    return ret->path ? NULL : err_new(ERR_INVALID, "an entry has no name");
}
