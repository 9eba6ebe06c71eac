/* tree_bytes.c - how much a directory tree holds, counted by descriptor without ever leaving it.
 *
 * Worker threads only: it blocks, for long in a large tree. */
#include <berth/mem.h>
#include <berth/tree.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

enum { DEPTH_MAX = 512 }; /* a descriptor each; what is deeper counts nothing */

typedef struct seen { /* an inode with several names */
    ino_t inode;
    UT_hash_handle hh;
} seen;

typedef struct counting {
    dev_t dev;
    seen *links;
    int64_t bytes;
} counting;

static bool is_first_name(counting *k, const struct stat *st)
{
    seen *s = NULL;

    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return true;
    HASH_FIND(hh, k->links, &st->st_ino, sizeof(st->st_ino), s);
    if (s)
        return false;
    s = new0(seen);
    s->inode = st->st_ino;
    HASH_ADD(hh, k->links, inode, sizeof(s->inode), s);
    return true;
}

static void count_below(counting *k, int fd, unsigned depth) /* takes fd */
{
    auto_closedir DIR *d = fdopendir(fd);
    struct dirent *ent;
    struct stat st;

    if (!d) {
        close(fd);
        return;
    }
    while ((ent = readdir(d))) {
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0 ||
            fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != k->dev)
            continue;
        if (!S_ISDIR(st.st_mode)) {
            if (is_first_name(k, &st))
                k->bytes += st.st_size;
        } else if (depth < DEPTH_MAX) {
            int below = openat(dirfd(d), ent->d_name,
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);

            if (below >= 0)
                count_below(k, below, depth + 1);
        }
    }
}

int64_t tree_bytes(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    counting k = {0};
    struct stat st;
    seen *s, *next;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) < 0) {
        close(fd);
        return 0;
    }
    k.dev = st.st_dev;
    count_below(&k, fd, 0);
    HASH_ITER (hh, k.links, s, next) {
        HASH_DEL(k.links, s);
        free(s);
    }
    return k.bytes;
}
