/* fuzz_reference.c - whatever parses as a reference has a familiar form that means the same. */
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/str.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_again(const reference *r)
{
    auto_free char *familiar = reference_familiar(r), *twice = NULL;
    reference again;

    if (reference_parse(familiar, &again))
        abort();
    twice = reference_familiar(&again);
    if (!str_eq(again.domain, r->domain) || !str_eq(again.path, r->path) ||
        !str_eq(familiar, twice))
        abort();
    reference_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_free char *text = xstrndup((const char *)data, n);
    reference r;
    err *e = reference_parse(text, &r);

    if (!e) {
        check_again(&r);
        reference_done(&r);
    }
    err_free(e);
    if (digest_is_valid(text) && text[7 + 64])
        abort();
    return 0;
}
