/* fuzz_filters.c - the filters parameter: whatever is accepted can be asked. */
#include <berth/filters.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const keys[] = {"label", "name", "status", "dangling", NULL};
    auto_arena *a = arena_new();
    auto_free char *text = xstrndup((const char *)data, n);
    json_map labels = {0};
    filters *f = NULL;
    bool flag;
    auto_err *e = filters_parse(text, keys, a, &f);

    if (e)
        return 0;
    json_map_set(&labels, a, "k", "v");
    filters_match_labels(f, "label", &labels);
    filters_match_exact(f, "status", "running");
    err_free(filters_bool(f, "dangling", false, &flag));
    for (size_t i = 0; i < filters_count(f, "name"); i++)
        filters_glob(filters_nth(f, "name", i), "busybox");
    return 0;
}
