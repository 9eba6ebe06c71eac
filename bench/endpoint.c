/* endpoint.c - where the server is, resolved once. */
#include "endpoint.h"
#include <berth/mem.h>
#include <berth/str.h>
#include <netdb.h>
#include <string.h>

static const char *after_scheme(const char *url)
{
    static const char *const schemes[] = {"tcp://", "http://", "https://"};

    for (size_t i = 0; i < COUNT(schemes); i++)
        if (str_starts(url, schemes[i]))
            return url + strlen(schemes[i]);
    return NULL;
}

/* "host:port" or "[v6]:port". */
must_check static err *resolve(endpoint *e, const char *text)
{
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int code;

    if (!colon || colon == text || !colon[1])
        return err_new(ERR_INVALID, "-H: host:port wanted after the scheme: %s", text);
    e->authority = xstrdup(text);
    if (text[0] == '[' && colon[-1] == ']')
        e->host = xstrndup(text + 1, (size_t)(colon - text) - 2);
    else
        e->host = xstrndup(text, (size_t)(colon - text));
    code = getaddrinfo(e->host, colon + 1, &hints, &found);
    if (code)
        return err_new(ERR_INVALID, "-H: %s: %s", text, gai_strerror(code));
    memcpy(&e->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return NULL;
}

must_check static err *fill(endpoint *e, const char *url, const char *ca, const char *cert,
                            const char *key)
{
    const char *rest = after_scheme(url);

    if (str_starts(url, "unix://") && url[7]) {
        e->path = xstrdup(url + 7);
        e->host = xstrdup("localhost");
        e->authority = xstrdup("localhost");
    } else if (rest) {
        TRY(resolve(e, rest));
    } else {
        return err_new(ERR_INVALID, "-H: unix:///path or tcp://host:port wanted: %s", url);
    }
    if (ca || cert || str_starts(url, "https://"))
        TRY(tls_config_new(ca, cert, key, &e->tls));
    return NULL;
}

err *endpoint_new(const char *url, const char *ca, const char *cert, const char *key,
                  endpoint **ret_endpoint)
{
    endpoint *e = new0(endpoint);
    err *failed = fill(e, url, ca, cert, key);

    if (failed) {
        endpoint_free(e);
        return failed;
    }
    *ret_endpoint = e;
    return NULL;
}

void endpoint_free(endpoint *e)
{
    if (!e)
        return;
    mem_freep(&e->path);
    mem_freep(&e->host);
    mem_freep(&e->authority);
    tls_config_free(e->tls);
    mem_freep(&e);
}
