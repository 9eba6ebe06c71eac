/* fuzz_json.c - every JSON body a client may send: what is accepted encodes to what decodes to the
 * same. */
#include <assert.h>
#include <berth/api/container.h>
#include <berth/api/network.h>
#include <berth/mem.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(const json_type *type, const char *text, size_t n)
{
    auto_arena *a = arena_new();
    void *first = arena_alloc(a, type->size), *second = arena_alloc(a, type->size);
    auto_buf once = {0}, twice = {0};
    auto_err *e = json_decode(type, text, n, JSON_ANY_VERSION, a, first);

    if (e)
        return;
    json_encode(type, first, JSON_ANY_VERSION, &once);
    assert(!json_decode(type, once.data, once.len, JSON_ANY_VERSION, a, second));
    json_encode(type, second, JSON_ANY_VERSION, &twice);
    assert(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    round_trip(&container_config_json, (const char *)data, n);
    round_trip(&host_config_json, (const char *)data, n);
    round_trip(&create_extra_json, (const char *)data, n);
    round_trip(&exec_config_json, (const char *)data, n);
    round_trip(&networking_config_json, (const char *)data, n);
    round_trip(&network_create_request_json, (const char *)data, n);
    round_trip(&network_connect_request_json, (const char *)data, n);
    round_trip(&network_disconnect_request_json, (const char *)data, n);
    return 0;
}
