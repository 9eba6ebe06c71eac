/* registry_hosts.c - where a registry is, whether it may be spoken to without TLS, and which
 * certificates belong to it. */
#include "private.h"
#include "registry.h"
#include <arpa/inet.h>
#include <berth/mem.h>
#include <berth/tree.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CA_FILE_MAX = 4 << 20 };

static registry_settings settings;

void images_set_registry(const registry_settings *s)
{
    strv_done(&settings.insecure);
    strv_done(&settings.mirrors);
    strv_done(&settings.certs_dirs);
    settings =
        (registry_settings){.max_downloads = s->max_downloads, .max_attempts = s->max_attempts};
    for (size_t i = 0; i < s->insecure.n; i++)
        strv_push(&settings.insecure, s->insecure.v[i]);
    for (size_t i = 0; i < s->mirrors.n; i++)
        strv_push(&settings.mirrors, s->mirrors.v[i]);
    for (size_t i = 0; i < s->certs_dirs.n; i++)
        strv_push(&settings.certs_dirs, s->certs_dirs.v[i]);
}

const registry_settings *images_registry(void)
{
    return &settings;
}

/* ---- without TLS? ---- */

/* "host:port" without its port, an IPv6 address without its brackets; caller frees. */
static char *host_of(const char *domain)
{
    const char *end = *domain == '[' ? strchr(domain, ']') : strrchr(domain, ':');

    if (*domain == '[' && end)
        return xstrndup(domain + 1, (size_t)(end - domain - 1));
    return xstrndup(domain, end ? (size_t)(end - domain) : strlen(domain));
}

static bool in_network(const unsigned char *address, const unsigned char *network, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return !memcmp(address, network, whole) &&
           (!rest || !((address[whole] ^ network[whole]) >> (8 - rest)));
}

static bool in_cidr(const char *host, const char *cidr)
{
    unsigned char address[16], network[16];
    const char *slash = strchr(cidr, '/');
    auto_free char *net = xstrndup(cidr, slash ? (size_t)(slash - cidr) : 0);
    int family = strchr(host, ':') ? AF_INET6 : AF_INET;
    uint64_t bits;

    return slash && str_to_uint64(slash + 1, &bits) && bits <= (family == AF_INET ? 32 : 128) &&
           inet_pton(family, host, address) == 1 && inet_pton(family, net, network) == 1 &&
           in_network(address, network, (unsigned)bits);
}

/* Loopback always may, as with dockerd. */
static bool may_be_insecure(const char *domain)
{
    auto_free char *host = host_of(domain);

    if (str_eq(host, "localhost") || in_cidr(host, "127.0.0.0/8") || in_cidr(host, "::1/128"))
        return true;
    for (size_t i = 0; i < settings.insecure.n; i++)
        if (str_eq(settings.insecure.v[i], domain) || in_cidr(host, settings.insecure.v[i]))
            return true;
    return false;
}

/* ---- where ---- */

static void add(endpoint **list, size_t *n, endpoint e)
{
    *list = xrealloc(*list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = e;
}

/* A mirror is "url" (of docker.io), "registry=url" or "*=url". */
static const char *mirror_for(const char *mirror, const char *domain)
{
    const char *equal = strchr(mirror, '=');
    size_t n = equal ? (size_t)(equal - mirror) : 0;

    if (!equal || memchr(mirror, '/', n))
        return str_eq(domain, "docker.io") ? mirror : NULL;
    if ((n == 1 && *mirror == '*') || (n == strlen(domain) && !memcmp(mirror, domain, n)))
        return equal + 1;
    return NULL;
}

static char *without_slash(const char *url)
{
    size_t n = strlen(url);

    while (n && url[n - 1] == '/')
        n--;
    return xstrndup(url, n);
}

void endpoints_of(const reference *ref, endpoint **ret, size_t *ret_n)
{
    const char *host = str_eq(ref->domain, "docker.io") ? "registry-1.docker.io" : ref->domain;
    bool insecure = may_be_insecure(ref->domain);

    *ret = NULL;
    *ret_n = 0;
    for (size_t i = 0; i < settings.mirrors.n; i++) {
        const char *url = mirror_for(settings.mirrors.v[i], ref->domain);
        const char *there = url ? strstr(url, "://") : NULL;

        auto_free char *domain = there ? xstrndup(there + 3, strcspn(there + 3, "/")) : NULL;

        if (domain)
            add(ret, ret_n,
                (endpoint){.base = without_slash(url),
                           .domain = xstrdup(domain),
                           .mirror = true,
                           .insecure = may_be_insecure(domain)});
    }
    add(ret, ret_n,
        (endpoint){.base = xasprintf("https://%s", host),
                   .domain = xstrdup(ref->domain),
                   .insecure = insecure});
    if (insecure)
        add(ret, ret_n,
            (endpoint){.base = xasprintf("http://%s", host),
                       .domain = xstrdup(ref->domain),
                       .insecure = true});
}

/* ---- certs.d ---- */

static err *append_file(int dir, const char *name, buf *out)
{
    auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char block[16384];
    ssize_t n;

    if (fd < 0)
        return err_errno(errno, "open %s", name);
    while ((n = read(fd, block, sizeof block)) > 0 && out->len < CA_FILE_MAX)
        buf_add(out, block, (size_t)n);
    buf_char(out, '\n');
    return n < 0 ? err_errno(errno, "read %s", name) : NULL;
}

/* *.crt are authorities beside the system's; x.cert is ours and has its x.key, as with dockerd. */
static err *take_certificate(endpoint *at, int dir, const char *path, const char *name, buf *cas)
{
    auto_free char *key = NULL;

    if (str_ends(name, ".crt"))
        return append_file(dir, name, cas);
    if (!str_ends(name, ".cert") || at->cert)
        return NULL;
    key = xasprintf("%.*s.key", (int)(strlen(name) - strlen(".cert")), name);
    if (faccessat(dir, key, R_OK, 0) < 0)
        return err_new(ERR_INVALID,
                       "missing key %s for client certificate %s. CA certificates must "
                       "use the extension .crt",
                       key, name);
    at->cert = xasprintf("%s/%s", path, name);
    at->key = xasprintf("%s/%s", path, key);
    return NULL;
}

static err *take_folder(endpoint *at, const char *path, buf *cas)
{
    auto_closedir DIR *d = opendir(path);
    struct dirent *ent;

    while (d && (ent = readdir(d)))
        TRY(take_certificate(at, dirfd(d), path, ent->d_name, cas));
    return NULL;
}

err *certificates_find(registry *r)
{
    for (size_t i = 0; i < r->n_endpoints; i++) {
        endpoint *at = &r->endpoints[i];
        auto_buf cas = {0};

        if (!str_starts(at->base, "https:"))
            continue;
        for (size_t k = 0; k < settings.certs_dirs.n; k++) {
            auto_free char *path = xasprintf("%s/%s", settings.certs_dirs.v[k], at->domain);

            TRY(take_folder(at, path, &cas));
        }
        if (!cas.len)
            continue;
        at->ca = xasprintf("%s/ca-%zu.pem", r->dir, i);
        TRY(file_write(at->ca, cas.data, cas.len, 0600));
    }
    return NULL;
}

void endpoint_trust(const registry *r, const char *url, fetch_opts *o)
{
    const endpoint *at = &r->endpoints[r->at];
    fetch_url to = {0}, home = {0};
    err *e = fetch_url_parse(NULL, url, &to);

    if (!e)
        e = fetch_url_parse(NULL, at->base, &home);
    if (!e) {
        auto_free char *domain = xasprintf("%s:%s", to.host, to.port);
        bool own_host = str_eq(to.host, home.host);

        o->ca_file = at->ca;
        o->insecure = own_host ? at->insecure : may_be_insecure(domain);
        if (own_host && str_eq(to.scheme, home.scheme) && str_eq(to.port, home.port)) {
            o->cert_file = at->cert;
            o->key_file = at->key;
        }
    }
    err_free(e); /* not an address: it will not be reached either */
    fetch_url_done(&to);
    fetch_url_done(&home);
}
