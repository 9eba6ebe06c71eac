/* users.c - "user:group" against the container's own etc/passwd and etc/group.
 *
 * Those files are the image's, so they are hostile: opened inside the root only, regular files
 * only, read up to 10 MiB; a number is never looked up as a name.  Worker threads only: it blocks.
 */
#include <berth/mem.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 10 << 20, GROUPS_MAX = 65536 };
#define ID_MAX 2147483647LL

/* An absent or odd file counts as an empty one, as for dockerd. */
static void read_inside(int root, const char *path, buf *out)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    auto_close int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    struct stat st;
    char block[16384];
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    while (out->len < FILE_MAX_BYTES && (n = read(fd, block, sizeof(block))) > 0)
        buf_add(out, block, (size_t)n);
}

/* The next line, split at colons into at most max fields; missing ones are "". */
static bool next_entry(char **cursor, char **fields, size_t max)
{
    char *line;

    do {
        line = strsep(cursor, "\n");
        if (!line)
            return false;
    } while (!*line || *line == '#');
    for (size_t i = 0; i < max; i++) {
        char *field = line ? strsep(&line, ":") : NULL;

        fields[i] = field ? field : line ? line : (char *)"";
    }
    return true;
}

static bool id_parse(const char *text, int64_t *ret_id)
{
    uint64_t n;

    if (!*text || strspn(text, "0123456789") != strlen(text))
        return false;
    *ret_id = str_to_uint64(text, &n) && n <= (uint64_t)ID_MAX ? (int64_t)n : ID_MAX + 1;
    return true;
}

static err *id_check(int64_t id)
{
    if (id < 0 || id > ID_MAX)
        return err_new(ERR_INVALID, "uids and gids must be in range 0-2147483647");
    return NULL;
}

typedef struct passwd_entry {
    char *name, *home;
    int64_t uid, gid;
} passwd_entry;

/* By name, or by number when name is one. */
static bool passwd_find(char *text, const char *name, int64_t uid, passwd_entry *ret)
{
    char *f[6];

    while (text && next_entry(&text, f, COUNT(f))) {
        passwd_entry p = {f[0], f[5], -1, -1};

        if (!id_parse(f[2], &p.uid) || !id_parse(f[3], &p.gid))
            continue;
        if (uid >= 0 ? p.uid == uid : strcmp(f[0], name) == 0) {
            *ret = p;
            return true;
        }
    }
    return false;
}

static void add_gid(spec_user *u, arena *a, int64_t gid)
{
    uint32_t *grown;

    for (size_t i = 0; i < u->n_gids; i++)
        if (u->gids[i] == (uint32_t)gid)
            return;
    if (u->n_gids >= GROUPS_MAX)
        return;
    if ((u->n_gids & (u->n_gids - 1)) == 0) { /* the arena grows by doubling */
        grown = arena_alloc(a, (u->n_gids ? u->n_gids * 2 : 1) * sizeof(*grown));
        if (u->n_gids)
            memcpy(grown, u->gids, u->n_gids * sizeof(*grown));
        u->gids = grown;
    }
    u->gids[u->n_gids++] = (uint32_t)gid;
}

static bool list_has(char *members, const char *name)
{
    for (char *m; (m = strsep(&members, ","));)
        if (strcmp(m, name) == 0)
            return true;
    return false;
}

static bool group_find(const buf *groups, const char *name, int64_t *ret_gid)
{
    auto_free char *copy = xstrndup(groups->data ? groups->data : "", groups->len);
    char *text = copy, *f[4];

    while (next_entry(&text, f, COUNT(f)))
        if (strcmp(f[0], name) == 0 && id_parse(f[2], ret_gid))
            return true;
    return false;
}

static void add_memberships(const buf *groups, const char *name, spec_user *u, arena *a)
{
    auto_free char *copy = xstrndup(groups->data ? groups->data : "", groups->len);
    char *text = copy, *f[4];
    int64_t gid;

    while (next_entry(&text, f, COUNT(f)))
        if (id_parse(f[2], &gid) && gid <= ID_MAX && list_has(f[3], name))
            add_gid(u, a, gid);
}

static err *group_resolve(const buf *groups, const char *text, int64_t *ret_gid)
{
    if (!id_parse(text, ret_gid) && !group_find(groups, text, ret_gid))
        return err_new(ERR_INVALID, "unable to find group %s: no matching entries in group file",
                       text);
    return id_check(*ret_gid);
}

err *spec_user_resolve(int rootfs_fd, const char *user, const json_strs *group_add, arena *a,
                       spec_user *ret)
{
    auto_buf passwd = {0}, groups = {0};
    auto_free char *who = xstrdup(str_or(user, "0"));
    char *group = strchr(who, ':');
    passwd_entry p = {0};
    spec_user u = {.home = "/"};
    int64_t uid = -1, gid = 0;
    bool known;

    if (group)
        *group++ = '\0';
    read_inside(rootfs_fd, "etc/passwd", &passwd);
    read_inside(rootfs_fd, "etc/group", &groups);
    if (id_parse(str_or(who, "0"), &uid))
        TRY(id_check(uid));
    known = passwd_find(passwd.data, who, uid, &p);
    if (!known && uid < 0)
        return err_new(ERR_INVALID, "unable to find user %s: no matching entries in passwd file",
                       who);
    if (known) {
        uid = p.uid;
        gid = p.gid;
        u.home = arena_strdup(a, str_or(p.home, "/"));
    }
    if (!str_empty(group))
        TRY(group_resolve(&groups, group, &gid));
    TRY(id_check(uid));
    TRY(id_check(gid));
    u.uid = (uint32_t)uid;
    u.gid = (uint32_t)gid;
    add_gid(&u, a, gid);
    if (known && str_empty(group))
        add_memberships(&groups, p.name, &u, a);
    for (size_t i = 0; group_add && i < group_add->n; i++) {
        TRY(group_resolve(&groups, group_add->v[i], &gid));
        add_gid(&u, a, gid);
    }
    *ret = u;
    return NULL;
}
