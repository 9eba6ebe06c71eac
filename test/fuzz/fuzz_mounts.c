/* fuzz_mounts.c - Binds, VolumesFrom and Mounts as clients write them: what is taken is clean, and
 * taken again. */
#include "mounts.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_path(const char *text, arena *a)
{
    const char *clean = path_clean(text, a);

    if (!str_eq(path_clean(clean, a), clean) || strstr(clean, "//"))
        abort();
    if (path_is_local(text) && (*clean == '/' || str_starts(clean, "../")))
        abort();
}

static void check_wish(const mount_wish *w, arena *a)
{
    if (mount_check(w, a) || w->target[0] != '/' || str_eq(path_clean(w->target, a), "/"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_arena *a = arena_new();
    const char *text = arena_strndup(a, (const char *)data, n), *mode;
    mount_wish w = {0};
    char *ref;
    bool rw;
    err *e = bind_parse(text, a, &w, &mode);

    if (!e)
        check_wish(&w, a);
    err_free(e);
    err_free(volumes_from_parse(text, a, &ref, &rw));
    check_path(text, a);
    w = (mount_wish){0};
    e = json_decode(&mount_wish_json, text, strlen(text), JSON_ANY_VERSION, a, &w);
    if (!e && !(e = mount_check(&w, a)))
        check_wish(&w, a);
    err_free(e);
    return 0;
}
