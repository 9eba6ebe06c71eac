/* binds.c - HostConfig.Binds taken apart.  Pure functions. */
#include "private.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <string.h>

static err *invalid(const char *text)
{
    return err_new(ERR_INVALID, "invalid volume specification: '%s'", text);
}

static bool is_propagation(const char *option)
{
    static const char *const known[] = {"shared", "rshared", "slave",
                                        "rslave", "private", "rprivate"};

    for (size_t i = 0; i < COUNT(known); i++)
        if (str_eq(known[i], option))
            return true;
    return false;
}

/* Each kind of option at most once. */
static err *options_parse(const char *text, const char *mode, bind_spec *b, arena *a)
{
    auto_strv options = {0};
    bool access = false;

    strv_split(&options, mode, ',');
    for (size_t i = 0; i < options.n; i++) {
        const char *o = options.v[i];

        if (str_eq(o, "ro") || str_eq(o, "rw")) {
            if (access)
                return invalid(text);
            access = true;
            b->readonly = str_eq(o, "ro");
        } else if (is_propagation(o)) {
            if (b->propagation)
                return invalid(text);
            b->propagation = arena_strdup(a, o);
        } else if (str_eq(o, "nocopy") || str_eq(o, "z") || str_eq(o, "Z") ||
                   str_eq(o, "consistent") || str_eq(o, "cached") || str_eq(o, "delegated")) {
            continue; /* nothing to copy from a host path; labels need SELinux; consistency is of
                         other systems */
        } else {
            return err_new(ERR_INVALID, "invalid mode: %s", mode);
        }
    }
    return NULL;
}

static bool has_dots(const char *path)
{
    auto_strv parts = {0};

    strv_split(&parts, path, '/');
    return strv_has(&parts, "..");
}

/* "/a//b/./c/" as "/a/b/c". */
static char *cleaned(const char *path, arena *a)
{
    auto_strv parts = {0};
    auto_buf out = {0};

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++)
        if (*parts.v[i] && !str_eq(parts.v[i], "."))
            buf_printf(&out, "/%s", parts.v[i]);
    return arena_strdup(a, out.len ? out.data : "/");
}

err *bind_parse(const char *text, arena *a, bind_spec *ret)
{
    auto_strv parts = {0};
    bind_spec b = {.recursive = true};

    strv_split(&parts, text, ':');
    if (parts.n < 2 || parts.n > 3 || !*parts.v[0] || !*parts.v[1])
        return parts.n == 1 && parts.v[0][0] == '/'
                   ? err_new(ERR_UNSUPPORTED,
                             "anonymous volumes (%s) are not supported: name a host path", text)
                   : invalid(text);
    if (parts.v[0][0] != '/')
        return err_new(ERR_UNSUPPORTED,
                       "named volumes (%s) are not supported: use an absolute host path",
                       parts.v[0]);
    if (parts.v[1][0] != '/')
        return err_new(
            ERR_INVALID,
            "invalid volume specification: '%s': invalid mount config for type \"bind\": invalid "
            "mount path: '%s' mount path must be absolute",
            text, parts.v[1]);
    b.mode = arena_strdup(a, parts.n == 3 ? parts.v[2] : "");
    TRY(options_parse(text, b.mode, &b, a));
    b.source = cleaned(parts.v[0], a);
    b.destination = cleaned(parts.v[1], a);
    if (str_eq(b.destination, "/") || has_dots(b.destination) || has_dots(b.source))
        return err_new(
            ERR_INVALID,
            "invalid volume specification: '%s': invalid mount config for type \"bind\": invalid "
            "specification: destination can't be '/'",
            text);
    *ret = b;
    return NULL;
}
