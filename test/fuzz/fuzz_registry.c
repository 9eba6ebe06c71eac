/* fuzz_registry.c - what a registry and a client send: manifests, challenges, authority,
 * platforms. */
#include "manifest.h"
#include "registry_auth.h"
#include <berth/mem.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_arena *a = arena_new();
    auto_free char *text = xstrndup((const char *)data, size);
    platform wanted = {.os = "linux", .architecture = "amd64"};
    registry_auth auth;
    challenge c;
    manifest m;
    err *e = manifest_parse((const char *)data, size, NULL, a, &m);

    if (!e && manifest_is_index(&m))
        manifest_choose(&m, &wanted);
    err_free(e);
    challenge_parse(text, a, &c);
    registry_auth_decode(text, a, &auth);
    err_free(platform_parse(text, a, &wanted));
    return 0;
}
