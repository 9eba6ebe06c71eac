/* fuzz_tar.c - any bytes as an archive, applied as a layer: what is beside the directory stays as
 * it is. */
#include "member.h"
#include <berth/mem.h>
#include <berth/tree.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void apply_all(struct archive *a, int root)
{
    applier *ap = applier_new(root, APPLY_LAYER);
    struct archive_entry *entry;
    err *e = NULL;
    int rc;

    while (!e && ((rc = archive_read_next_header(a, &entry)) == ARCHIVE_OK || rc == ARCHIVE_WARN)) {
        tar_member m;

        e = member_of(a, entry, &m);
        if (!e)
            e = applier_apply(ap, &m);
    }
    err_free(e ? e : applier_finish(ap));
    applier_free(ap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char base[] = "/tmp/berth-fuzz-XXXXXX";
    auto_free char *dest = mkdtemp(base) ? xasprintf("%s/dest", base) : NULL;
    auto_close int root = dest && mkdir(dest, 0755) == 0 ? open(dest, O_RDONLY | O_DIRECTORY) : -1;
    auto_close int home = open(".", O_RDONLY | O_DIRECTORY);
    struct archive *a = archive_read_new();

    member_formats(a);
    if (root < 0)
        abort();
    if (archive_read_open_memory(a, data, n) == ARCHIVE_OK)
        apply_all(a, root);
    archive_read_free(a);
    if (fchdir(home) < 0 || tree_remove(dest) || rmdir(base) < 0)
        abort(); /* something is beside dest */
    return 0;
}
