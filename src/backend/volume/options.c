/* options.c - the local driver's words: names, options, and what they make mount(2) do.
 *
 * Any thread; volume_options_mount blocks. */
#include "private.h"
#include <arpa/inet.h>
#include <berth/mem.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- names ---- */

static bool is_name(const char *name)
{
    if (!isalnum((unsigned char)name[0]))
        return false;
    for (const char *p = name + 1; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
            return false;
    return true;
}

err *volume_name_check(const char *name)
{
    auto_buf quoted = {0};

    if (strlen(name) < 2)
        return err_new(ERR_INVALID,
                       "create %s: volume name is too short, names should be at least two "
                       "alphanumeric characters",
                       name);
    if (strlen(name) > VOLUME_NAME_MAX)
        return err_new(ERR_INVALID, "create %.64s...: volume name is too long, at most %d bytes",
                       name, VOLUME_NAME_MAX);
    json_quote(name, &quoted);
    if (!is_name(name))
        return err_new(ERR_INVALID,
                       "create %s: %s includes invalid characters for a local volume name, only "
                       "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                       "directory, use absolute path",
                       name, quoted.data);
    return NULL;
}

/* ---- options ---- */

static err *required(const json_map *options, const char *has, const char *needs)
{
    if (json_map_get(options, has) && !json_map_get(options, needs))
        return err_new(ERR_INVALID, "missing required option: \"%s\"", needs);
    return NULL;
}

err *volume_options_check(const json_map *options)
{
    static const char *const known[] = {"type", "o", "device", "size"};
    const char *size;
    int64_t bytes;

    for (size_t i = 0; options && i < options->n; i++) {
        bool found = false;

        for (size_t k = 0; k < COUNT(known); k++)
            found |= str_eq(known[k], options->keys[i]);
        if (!found)
            return err_new(ERR_INVALID, "invalid option: \"%s\"", options->keys[i]);
    }
    if (!options || !options->n)
        return NULL;
    if ((size = json_map_get(options, "size"))) {
        if (!str_to_bytes(size, &bytes))
            return err_new(ERR_INVALID, "invalid size: '%s'", size);
        if (bytes > 0)
            return err_new(ERR_INVALID, "quota size requested but no quota support");
    }
    TRY(required(options, "device", "type"));
    TRY(required(options, "type", "device"));
    TRY(required(options, "o", "device"));
    return required(options, "o", "type");
}

bool volume_has_mount(const json_map *options)
{
    return !str_empty(json_map_get(options, "device")) || !str_empty(json_map_get(options, "type"));
}

/* ---- mount(2) ---- */

static const struct mount_word {
    const char *word;
    bool clears;
    unsigned long flag;
} mount_words[] = {
    {"defaults", false, 0},
    {"ro", false, MS_RDONLY},
    {"rw", true, MS_RDONLY},
    {"suid", true, MS_NOSUID},
    {"nosuid", false, MS_NOSUID},
    {"dev", true, MS_NODEV},
    {"nodev", false, MS_NODEV},
    {"exec", true, MS_NOEXEC},
    {"noexec", false, MS_NOEXEC},
    {"sync", false, MS_SYNCHRONOUS},
    {"async", true, MS_SYNCHRONOUS},
    {"dirsync", false, MS_DIRSYNC},
    {"remount", false, MS_REMOUNT},
    {"mand", false, MS_MANDLOCK},
    {"nomand", true, MS_MANDLOCK},
    {"atime", true, MS_NOATIME},
    {"noatime", false, MS_NOATIME},
    {"diratime", true, MS_NODIRATIME},
    {"nodiratime", false, MS_NODIRATIME},
    {"bind", false, MS_BIND},
    {"rbind", false, MS_BIND | MS_REC},
    {"unbindable", false, MS_UNBINDABLE},
    {"runbindable", false, MS_UNBINDABLE | MS_REC},
    {"private", false, MS_PRIVATE},
    {"rprivate", false, MS_PRIVATE | MS_REC},
    {"shared", false, MS_SHARED},
    {"rshared", false, MS_SHARED | MS_REC},
    {"slave", false, MS_SLAVE},
    {"rslave", false, MS_SLAVE | MS_REC},
    {"relatime", false, MS_RELATIME},
    {"norelatime", true, MS_RELATIME},
    {"strictatime", false, MS_STRICTATIME},
    {"nostrictatime", true, MS_STRICTATIME},
};

enum { PROPAGATION = MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE };

typedef struct mount_plan {
    unsigned long flags, propagation;
    buf data; /* what the file system itself is told */
} mount_plan;

static const struct mount_word *word_find(const char *text)
{
    for (size_t i = 0; i < COUNT(mount_words); i++)
        if (str_eq(mount_words[i].word, text))
            return &mount_words[i];
    return NULL;
}

/* Network file systems want a number where people write a name. */
static err *address_resolve(const char *host, char out[INET6_ADDRSTRLEN])
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int failed = getaddrinfo(host, NULL, &hints, &found);

    if (failed)
        return err_new(ERR_SYSTEM, "error resolving passed in network volume address: %s: %s", host,
                       gai_strerror(failed));
    inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, out,
              INET6_ADDRSTRLEN);
    freeaddrinfo(found);
    return NULL;
}

static err *data_add(const char *word, buf *data)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char number[sizeof(struct in6_addr)];

    if (data->len)
        buf_char(data, ',');
    if (!str_starts(word, "addr=") || inet_pton(AF_INET, word + 5, number) == 1 ||
        inet_pton(AF_INET6, word + 5, number) == 1) {
        buf_str(data, word);
        return NULL;
    }
    TRY(address_resolve(word + 5, address));
    buf_printf(data, "addr=%s", address);
    return NULL;
}

static err *plan_of(const char *o, mount_plan *p)
{
    auto_strv words = {0};

    strv_split(&words, o, ',');
    for (size_t i = 0; i < words.n; i++) {
        const struct mount_word *w = word_find(words.v[i]);

        if (!*words.v[i])
            continue;
        if (!w)
            TRY(data_add(words.v[i], &p->data));
        else if (w->flag & PROPAGATION)
            p->propagation = w->flag;
        else if (w->clears)
            p->flags &= ~w->flag;
        else
            p->flags |= w->flag;
    }
    return NULL;
}

/* A password never reaches an error's text. */
static void hide_password(char *data)
{
    char *at = strstr(data, "password=");

    for (at = at ? at + strlen("password=") : NULL; at && *at && *at != ','; at++)
        *at = '*';
}

static err *mount_error(const char *device, const char *path, const mount_plan *p, int errnum)
{
    auto_free char *data = xstrdup(str_or(p->data.data, ""));
    char flags[32] = "", why[128];

    hide_password(data);
    if (p->flags)
        snprintf(flags, sizeof(flags), ", flags: 0x%lx", p->flags);
    snprintf(why, sizeof(why), "%s", strerrordesc_np(errnum));
    why[0] = (char)tolower((unsigned char)why[0]); /* as Go writes it */
    return err_new(ERR_SYSTEM, "failed to mount local volume: mount %s:%s%s%s%s: %s", device, path,
                   flags, *data ? ", data: " : "", data, why);
}

static err *mount_planned(const char *device, const char *type, const char *target,
                          const char *path, const mount_plan *p)
{
    if (mount(device, target, type, p->flags, p->data.data) < 0)
        return mount_error(device, path, p, errno);
    return NULL;
}

/* The propagation and the read-only state of a bind are set on the mount that is now there. */
static err *mount_finish(const char *path, int parent_fd, const mount_plan *p)
{
    auto_free char *there = xasprintf("/proc/self/fd/%d/_data", parent_fd);
    bool remount = (p->flags & MS_BIND) && (p->flags & MS_RDONLY);

    if (p->propagation && mount(NULL, there, NULL, p->propagation, NULL) < 0)
        return err_errno(errno, "failed to mount local volume: propagation of %s", path);
    if (remount && mount(NULL, there, NULL, p->flags | MS_REMOUNT, NULL) < 0)
        return err_errno(errno, "failed to mount local volume: remount %s", path);
    return NULL;
}

static err *mount_onto(const json_map *options, int parent_fd, const char *path, mount_plan *p)
{
    const char *device = json_map_get(options, "device");
    auto_free char *target = NULL;
    auto_close int fd = openat(parent_fd, "_data", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return err_errno(errno, "open %s", path);
    target = xasprintf("/proc/self/fd/%d", fd);
    TRY(plan_of(str_or(json_map_get(options, "o"), ""), p));
    TRY(mount_planned(device, json_map_get(options, "type"), target, path, p));
    return mount_finish(path, parent_fd, p);
}

err *volume_options_mount(const json_map *options, int parent_fd, const char *path)
{
    mount_plan p = {0};
    err *e;

    if (str_empty(json_map_get(options, "device")))
        return err_new(ERR_SYSTEM, "missing device in volume options");
    e = mount_onto(options, parent_fd, path, &p);
    buf_done(&p.data);
    return e;
}
