/* reference.c - image references, as the distribution project defines them.  Pure functions. */
#include <berth/mem.h>
#include <berth/reference.h>
#include <berth/str.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 255, TAG_MAX_LENGTH = 128, HEX_LENGTH = 64, DIGEST_HEX_MIN = 32 };
#define DEFAULT_DOMAIN "docker.io"

static err *invalid(void)
{
    return err_new(ERR_INVALID, "invalid reference format");
}

static bool is_hex(const char *s)
{
    return strspn(s, "0123456789abcdef") == strlen(s);
}

bool digest_is_valid(const char *text)
{
    return text && str_starts(text, "sha256:") && strlen(text + 7) == HEX_LENGTH &&
           is_hex(text + 7);
}

bool id_is_hex(const char *text)
{
    return *text && strlen(text) <= HEX_LENGTH && is_hex(text);
}

static bool is_alnum_lower(char c)
{
    return islower((unsigned char)c) || isdigit((unsigned char)c);
}

/* Separators inside a component: ".", "_", "__", or any number of "-". */
static size_t separator_length(const char *p)
{
    if (*p == '.')
        return 1;
    if (*p == '_')
        return p[1] == '_' ? 2 : 1;
    return strspn(p, "-");
}

static bool component_is_fine(const char *p, size_t n)
{
    const char *end = p + n;

    if (!n)
        return false;
    while (p < end) {
        size_t sep;

        if (!is_alnum_lower(*p))
            return false;
        while (p < end && is_alnum_lower(*p))
            p++;
        if (p == end)
            return true;
        sep = separator_length(p);
        if (!sep)
            return false;
        p += sep;
    }
    return false;
}

static bool path_is_fine(const char *path)
{
    while (true) {
        const char *slash = strchr(path, '/');
        size_t n = slash ? (size_t)(slash - path) : strlen(path);

        if (!component_is_fine(path, n))
            return false;
        if (!slash)
            return true;
        path = slash + 1;
    }
}

static bool tag_is_fine(const char *tag)
{
    if (!isalnum((unsigned char)*tag) && *tag != '_')
        return false;
    for (const char *p = tag; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
            return false;
    return strlen(tag) <= TAG_MAX_LENGTH;
}

/* "host", "host:port", "[v6]:port": letters, digits, dots, dashes. */
static bool domain_is_fine(const char *domain)
{
    const char *colon = strrchr(domain, ':');
    size_t n = colon ? (size_t)(colon - domain) : strlen(domain);

    if (*domain == '[')
        return strchr(domain, ']') != NULL &&
               strspn(domain, "[]0123456789abcdefABCDEF:") == strlen(domain);
    if (!n || (colon && (!colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))))
        return false;
    for (size_t i = 0; i < n; i++) {
        bool edge = i == 0 || i == n - 1 || domain[i - 1] == '.' || domain[i + 1] == '.';

        if (!isalnum((unsigned char)domain[i]) && (edge || (domain[i] != '-' && domain[i] != '.')))
            return false;
    }
    return true;
}

static bool has_upper(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isupper((unsigned char)s[i]))
            return true;
    return false;
}

/* The first component is a domain when it cannot be part of a path. */
static bool begins_with_domain(const char *name)
{
    const char *slash = strchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;

    return slash && (memchr(name, '.', n) || memchr(name, ':', n) ||
                     (n == 9 && memcmp(name, "localhost", 9) == 0) || has_upper(name, n));
}

static void split_domain(const char *name, reference *r)
{
    if (begins_with_domain(name)) {
        size_t n = strcspn(name, "/");

        r->domain = xstrndup(name, n);
        r->path = xstrdup(name + n + 1);
    } else {
        r->domain = xstrdup(DEFAULT_DOMAIN);
        r->path = xstrdup(name);
    }
    if (str_eq(r->domain, "index.docker.io")) {
        free(r->domain);
        r->domain = xstrdup(DEFAULT_DOMAIN);
    }
    if (str_eq(r->domain, DEFAULT_DOMAIN) && !strchr(r->path, '/')) {
        char *path = xasprintf("library/%s", r->path);

        free(r->path);
        r->path = path;
    }
}

/* "name+name.name" before the colon of a digest. */
static bool algorithm_is_fine(const char *p, size_t n)
{
    bool begins = true;

    for (size_t i = 0; i < n; i++) {
        bool joins = strchr("-_+.", p[i]) != NULL;

        if (begins ? !isalpha((unsigned char)p[i]) : !joins && !isalnum((unsigned char)p[i]))
            return false;
        begins = joins;
    }
    return n && !begins;
}

/* Of well-formed digests only sha256 in lower case has a meaning here. */
static err *check_digest(const char *digest)
{
    size_t n = strcspn(digest, ":"), hex;

    if (digest_is_valid(digest))
        return NULL;
    if (!digest[n] || !algorithm_is_fine(digest, n))
        return invalid();
    hex = strspn(digest + n + 1, "0123456789abcdefABCDEF");
    if (hex < DIGEST_HEX_MIN || digest[n + 1 + hex])
        return invalid();
    if (!str_starts(digest, "sha256:"))
        return err_new(ERR_INVALID, "unsupported digest algorithm");
    return err_new(ERR_INVALID, hex == HEX_LENGTH ? "invalid checksum digest format"
                                                  : "invalid checksum digest length");
}

/* What looks like a domain and is none may still be the beginning of a path: foo_bar.com/x. */
static bool domain_or_path(const char *domain)
{
    return domain_is_fine(domain) || component_is_fine(domain, strlen(domain));
}

static err *check(const reference *r)
{
    if (has_upper(r->path, strlen(r->path)))
        return err_new(ERR_INVALID,
                       "invalid reference format: repository name (%s) must be lowercase", r->path);
    if (!domain_or_path(r->domain) || !path_is_fine(r->path) || (r->tag && !tag_is_fine(r->tag)))
        return invalid();
    if (strlen(r->path) > NAME_MAX_LENGTH)
        return err_new(ERR_INVALID, "repository name must not be more than %d characters",
                       NAME_MAX_LENGTH);
    return r->digest ? check_digest(r->digest) : NULL;
}

err *reference_parse(const char *text, reference *ret)
{
    auto_free char *name = xstrdup(text);
    reference r = {0};
    char *at, *colon;
    err *e;

    if (strlen(text) == HEX_LENGTH && is_hex(text))
        return err_new(ERR_INVALID,
                       "invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
                       text);
    if ((at = strchr(name, '@'))) {
        *at = '\0';
        r.digest = xstrdup(at + 1);
    }
    colon = strrchr(name, ':');
    if (colon && !strchr(colon, '/')) {
        *colon = '\0';
        r.tag = xstrdup(colon + 1);
    }
    split_domain(name, &r);
    e = check(&r);
    if (e)
        reference_done(&r);
    else
        *ret = r;
    return e;
}

err *reference_set_tag(reference *r, const char *tag)
{
    if (!tag_is_fine(tag))
        return err_new(ERR_INVALID, "invalid tag format");
    free(r->tag);
    r->tag = xstrdup(tag);
    return NULL;
}

void reference_done(reference *r)
{
    free(r->domain);
    free(r->path);
    free(r->tag);
    free(r->digest);
    *r = (reference){0};
}

/* Never shorter than what gives the same reference again. */
char *reference_familiar_name(const reference *r)
{
    const char *name = r->path;

    if (!str_eq(r->domain, DEFAULT_DOMAIN))
        return xasprintf("%s/%s", r->domain, r->path);
    if (str_starts(name, "library/") && !strchr(name + 8, '/'))
        return xstrdup(name + 8);
    return begins_with_domain(name) ? xasprintf("%s/%s", DEFAULT_DOMAIN, name) : xstrdup(name);
}

char *reference_familiar(const reference *r)
{
    auto_free char *name = reference_familiar_name(r);

    if (r->digest)
        return xasprintf("%s@%s", name, r->digest);
    return xasprintf("%s:%s", name, r->tag ? r->tag : "latest");
}
