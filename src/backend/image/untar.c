/* untar.c - the helper process that unpacks archives.
 *
 * Run as: berth-untar layer|plain|members, with the archive on descriptor 0, the directory to fill
 * on 3 and a file for the result on 4.  "layer" applies an image layer (owners, devices,
 * whiteouts), "plain" the same where whiteouts are ordinary names, "members" takes out files for a
 * load; all tell the archive's digests.  The first thing it does with bytes it was given happens
 * without network, without capabilities it does not need, inside a chroot, and by openat2. */
#include "confine.h"
#include "member.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/untar.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    IN_FD = 0,
    ROOT_FD = 3,
    RESULT_FD = 4,
    BLOCK = 256 << 10,
    FILTERS_MAX = 2,
};

typedef struct source {  /* the archive as it arrives, and what it is inside */
    struct archive *raw; /* decompresses */
    struct sha256_ctx packed, plain;
    bool is_plain; /* nothing is compressed: one digest serves as both */
    bool is_blank; /* nothing but zeros came so far */
    char in[BLOCK], out[BLOCK];
} source;

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    _exit(UNTAR_REFUSED);
}

/* An error of the host's is not the archive's fault. */
static void die_of(const err *e) __attribute__((noreturn));
static void die_of(const err *e)
{
    static const int of_host[] = {ENOSPC, EDQUOT, EROFS, EIO, ENOMEM, EMFILE, ENFILE};

    fprintf(stderr, "%s\n", err_message(e));
    for (size_t i = 0; i < COUNT(of_host); i++)
        if (err_errnum(e) == of_host[i])
            _exit(UNTAR_HOST_FAILED);
    _exit(UNTAR_REFUSED);
}

/* ---- the archive ---- */

static la_ssize_t read_packed(struct archive *a, void *arg, const void **ret_block)
{
    source *s = arg;
    ssize_t n;

    (void)a;
    do
        n = read(IN_FD, s->in, sizeof(s->in));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        die("read the archive: %s", strerrordesc_np(errno));
    if (!s->is_plain)
        sha256_update(&s->packed, (size_t)n, (const uint8_t *)s->in);
    *ret_block = s->in;
    return n;
}

static la_ssize_t read_plain(struct archive *a, void *arg, const void **ret_block)
{
    source *s = arg;
    la_ssize_t n = s->raw ? archive_read_data(s->raw, s->out, sizeof(s->out)) : 0;

    (void)a;
    if (n < 0)
        die("unexpected EOF or damaged compression: %s", archive_error_string(s->raw));
    sha256_update(&s->plain, (size_t)n, (const uint8_t *)s->out);
    for (la_ssize_t i = 0; s->is_blank && i < n; i++)
        s->is_blank = !s->out[i];
    *ret_block = s->out;
    return n;
}

/* The decompressor; NULL when there is not a byte, compressed or not. */
static struct archive *open_raw(source *s)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    int rc;

    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_raw(a);
    archive_read_support_format_empty(a);
    if (archive_read_open(a, s, NULL, read_packed, NULL) != ARCHIVE_OK)
        die("not a tar archive: %s", archive_error_string(a));
    if (archive_filter_count(a) > FILTERS_MAX + 1) /* the last one is "none" */
        die("not a tar archive: compressed too often");
    rc = archive_read_next_header(a, &entry);
    if (rc == ARCHIVE_EOF) {
        archive_read_free(a);
        return NULL;
    }
    if (rc < ARCHIVE_WARN)
        die("not a tar archive: %s", archive_error_string(a));
    s->is_plain = archive_filter_count(a) == 1;
    return a;
}

static struct archive *open_tar(source *s)
{
    struct archive *a = archive_read_new();

    member_formats(a);
    if (archive_read_open(a, s, NULL, read_plain, NULL) != ARCHIVE_OK)
        die("not a tar archive: %s", archive_error_string(a));
    return a;
}

static void apply_entry(applier *ap, struct archive *a, struct archive_entry *entry)
{
    tar_member m;
    err *e = member_of(a, entry, &m);

    if (!e)
        e = applier_apply(ap, &m);
    if (e)
        die_of(e);
}

static void hex_digest(struct sha256_ctx *ctx, char out[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_digest(ctx, sizeof(digest), digest);
    str_hex(digest, sizeof(digest), out);
}

static void tell(source *s, applier *ap)
{
    char packed[65], plain[65];

    hex_digest(&s->plain, plain);
    if (s->is_plain)
        memcpy(packed, plain, sizeof(packed));
    else
        hex_digest(&s->packed, packed);
    dprintf(RESULT_FD, "packed %s\nplain %s\nsize %llu\n", packed, plain,
            (unsigned long long)applier_bytes(ap));
    for (size_t i = 0; i < applier_opaques(ap)->n; i++)
        dprintf(RESULT_FD, "opaque %s\n", applier_opaques(ap)->v[i]);
    if (dprintf(RESULT_FD, "end\n") < 0)
        die("write the result: %s", strerrordesc_np(errno));
}

static int unpack(apply_mode mode)
{
    source *s = new0(source);
    applier *ap = applier_new(ROOT_FD, mode);
    struct archive *tar;
    struct archive_entry *entry;
    const void *rest;
    err *e;
    int rc;

    s->is_blank = true;
    sha256_init(&s->packed);
    sha256_init(&s->plain);
    s->raw = open_raw(s);
    tar = open_tar(s);
    while ((rc = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
        apply_entry(ap, tar, entry);
    if (rc != ARCHIVE_EOF)
        die("not a tar archive: %s", archive_error_string(tar));
    while (read_plain(NULL, s, &rest) > 0) /* padding behind the end belongs to the digest */
        continue;
    while (read_packed(NULL, s, &rest) > 0)
        continue;
    if (!archive_file_count(tar) &&
        !s->is_blank) /* a disk image begins with zeros as an empty archive does */
        die("not a tar archive: there is something behind its end");
    if ((e = applier_finish(ap)))
        die_of(e);
    tell(s, ap);
    applier_free(ap);
    archive_read_free(tar);
    archive_read_free(s->raw);
    free(s);
    return 0;
}

static bool mode_of(const char *word, apply_mode *ret_mode)
{
    static const char *const words[] = {
        [APPLY_MEMBERS] = "members", [APPLY_PLAIN] = "plain", [APPLY_LAYER] = "layer"};

    for (size_t i = 0; i < COUNT(words); i++) {
        if (str_eq(word, words[i])) {
            *ret_mode = (apply_mode)i;
            return true;
        }
    }
    return false;
}

bool untar_main(int argc, char **argv, int *ret_status)
{
    apply_mode mode;
    err *e;

    if (argc < 1 || !str_eq(argv[0], UNTAR_ARG0))
        return false;
    if (argc != 2 || !mode_of(argv[1], &mode))
        die("usage: %s layer|plain|members", UNTAR_ARG0);
    if ((e = confine(ROOT_FD, false)))
        die_of(e);
    *ret_status = unpack(mode);
    return true;
}
