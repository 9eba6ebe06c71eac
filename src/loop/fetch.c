/* fetch.c - HTTP requests to other servers, by libcurl's multi interface on the loop.
 *
 * libcurl is loaded at the first use: with it come some 25 libraries and 3 MB, which a daemon that
 * never pulls has no use for.  It is the one over OpenSSL, which reads of the system's authorities
 * the one that it needs, by its hash; GnuTLS would parse all of them for every connection, on the
 * loop.  Its sockets are watched, its one timer is ours; it is never entered
 * from within its own callbacks.  Loop thread only, except fetch_load. */
#include <berth/buf.h>
#include <berth/fetch.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <berth/watch.h>
#include <assert.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <libpsl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_CAS "/etc/ssl/certs" /* by hash */
enum { URL_SHOWN = 200, SMALL_BUFFER = 64 << 10 };

/* What is used of the library. */
#define CURL_CALLS(F)           \
    F(curl_global_init)         \
    F(curl_easy_init)           \
    F(curl_easy_setopt)         \
    F(curl_easy_getinfo)        \
    F(curl_easy_cleanup)        \
    F(curl_easy_pause)          \
    F(curl_easy_header)         \
    F(curl_easy_strerror)       \
    F(curl_slist_append)        \
    F(curl_slist_free_all)      \
    F(curl_multi_init)          \
    F(curl_multi_setopt)        \
    F(curl_multi_add_handle)    \
    F(curl_multi_remove_handle) \
    F(curl_multi_socket_action) \
    F(curl_multi_assign)        \
    F(curl_multi_info_read)     \
    F(curl_multi_cleanup)       \
    F(curl_url)                 \
    F(curl_url_set)             \
    F(curl_url_get)             \
    F(curl_url_cleanup)         \
    F(curl_free)

static struct {
#define MEMBER(name) __typeof__(name) *name;
    CURL_CALLS(MEMBER)
#undef MEMBER
    __typeof__(psl_builtin) *psl_builtin; /* NULL: there is no such list */
    __typeof__(psl_registrable_domain) *psl_registrable_domain;
    bool loaded;
} lib;
/* The macros of curl.h check the types of options; through a pointer they would not be met. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

struct fetch {
    CURL *easy;
    struct curl_slist *headers;
    fetch_events ev;
    void *arg;
    size_t (*pull)(void *arg, char *p, size_t n);
    char reason[CURL_ERROR_SIZE];
    char *url, method[8];
    bool added, told_head, paused, resuming, ended, freed;
};

typedef struct socket_watch {
    watch *watch;
    curl_socket_t fd;
} socket_watch;

static CURLM *multi;
static timer *tick;
static char *proxy_http, *proxy_https, *proxy_none;
static bool proxies_set;

/* ---- the library ---- */

static err *load(void)
{
    void *handle, *psl;

    if (lib.loaded)
        return NULL;
    handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return err_new(ERR_SYSTEM, "libcurl cannot be loaded: %s", dlerror());
#define LOAD(name)                                \
    *(void **)(&lib.name) = dlsym(handle, #name); \
    if (!lib.name)                                \
        return err_new(ERR_SYSTEM, "libcurl is too old: it has no %s", #name);
    CURL_CALLS(LOAD)
#undef LOAD
    if ((psl = dlopen("libpsl.so.5", RTLD_NOW | RTLD_LOCAL))) {
        *(void **)(&lib.psl_builtin) = dlsym(psl, "psl_builtin");
        *(void **)(&lib.psl_registrable_domain) = dlsym(psl, "psl_registrable_domain");
    }
    if (!lib.psl_registrable_domain)
        lib.psl_builtin = NULL;
    if (lib.curl_global_init(CURL_GLOBAL_DEFAULT))
        return err_new(ERR_SYSTEM, "libcurl does not start");
    lib.loaded = true;
    return NULL;
}

err *fetch_load(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    err *e;

    pthread_mutex_lock(&lock);
    e = load();
    pthread_mutex_unlock(&lock);
    return e;
}

/* ---- its sockets and its timer ---- */

static void take_ended(void);

static void act(curl_socket_t fd, int events)
{
    int running;

    lib.curl_multi_socket_action(multi, fd, events, &running);
    take_ended();
}

static void on_ready(void *arg, int events)
{
    const socket_watch *w = arg;

    act(w->fd, (events & WATCH_READ ? CURL_CSELECT_IN : 0) |
                   (events & WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
    socket_watch *w = mine;
    int events = (what & CURL_POLL_IN ? WATCH_READ : 0) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0);

    (void)easy;
    (void)arg;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            watch_stop(w->watch);
        free(w);
        return 0;
    }
    if (w) {
        watch_set(w->watch, events);
        return 0;
    }
    w = new0(socket_watch);
    w->fd = fd;
    w->watch = watch_start("fetch", fd, events, on_ready, w);
    lib.curl_multi_assign(multi, fd, w);
    return 0;
}

static void on_tick(void *arg)
{
    (void)arg;
    act(CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *m, long after_ms, void *arg)
{
    (void)m;
    (void)arg;
    timer_stop(take(tick));
    if (after_ms >= 0)
        tick = timer_start("fetch", (uint64_t)after_ms, on_tick, NULL);
    return 0;
}

static void begin_multi(void)
{
    if (multi)
        return;
    multi = lib.curl_multi_init();
    assert(multi); /* out of memory ends the program, as everywhere */
    lib.curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    lib.curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
}

/* ---- one request ---- */

static void free_now(void *arg)
{
    fetch *f = arg;

    if (f->added)
        lib.curl_multi_remove_handle(multi, f->easy);
    lib.curl_easy_cleanup(f->easy);
    lib.curl_slist_free_all(f->headers);
    free(f->url);
    free(f);
}

static void tell_head(fetch *f)
{
    long status = 0;

    if (f->told_head)
        return;
    lib.curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    f->told_head = true;
    if (f->ev.on_head)
        f->ev.on_head(f->arg, (int)status);
}

static size_t on_write(char *p, size_t one, size_t n, void *arg)
{
    fetch *f = arg;

    (void)one;
    if (f->freed)
        return CURL_WRITEFUNC_ERROR;
    if (f->paused)
        return CURL_WRITEFUNC_PAUSE;
    tell_head(f);
    if (!f->freed && f->ev.on_data && !f->ev.on_data(f->arg, p, n))
        f->paused = true;
    return f->freed ? CURL_WRITEFUNC_ERROR : n;
}

static size_t on_pull(char *p, size_t one, size_t n, void *arg)
{
    fetch *f = arg;
    size_t got;

    if (f->freed)
        return CURL_READFUNC_ABORT;
    got = f->pull(f->arg, p, one * n);
    return got == FETCH_LATER ? CURL_READFUNC_PAUSE : got;
}

/* What is behind a question mark may be a secret. */
static err *error_of(const fetch *f, CURLcode code)
{
    size_t n = strcspn(f->url, "?");

    if (code == CURLE_OK)
        return NULL;
    return err_new(ERR_UNAVAILABLE, "%s \"%.*s\": %s", f->method,
                   (int)(n < URL_SHOWN ? n : URL_SHOWN), f->url,
                   *f->reason ? f->reason : lib.curl_easy_strerror(code));
}

static void end(fetch *f, CURLcode code)
{
    if (f->freed || f->ended)
        return;
    if (code == CURLE_OK)
        tell_head(f);
    if (f->freed)
        return;
    f->ended = true;
    f->ev.on_end(f->arg, error_of(f, code));
}

static void take_ended(void)
{
    CURLMsg *message;
    int left;

    while ((message = lib.curl_multi_info_read(multi, &left))) {
        CURLcode code = message->data.result;
        CURL *easy = message->easy_handle;
        fetch *f = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        lib.curl_easy_getinfo(easy, CURLINFO_PRIVATE, &f);
        lib.curl_multi_remove_handle(multi, easy);
        f->added = false;
        end(f, code);
    }
}

static void set_tls(const fetch *f, const fetch_opts *o)
{
    lib.curl_easy_setopt(f->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    lib.curl_easy_setopt(f->easy, CURLOPT_CAPATH, SYSTEM_CAS);
    lib.curl_easy_setopt(f->easy, CURLOPT_CAINFO, o->ca_file);
    if (o->insecure) {
        lib.curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYPEER, 0L);
        lib.curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (o->cert_file && o->key_file) {
        lib.curl_easy_setopt(f->easy, CURLOPT_SSLCERT, o->cert_file);
        lib.curl_easy_setopt(f->easy, CURLOPT_SSLKEY, o->key_file);
    }
}

static void set_proxy(const fetch *f)
{
    const char *proxy = str_starts(f->url, "https:") ? proxy_https : proxy_http;

    if (!proxies_set)
        return; /* libcurl reads the environment */
    lib.curl_easy_setopt(f->easy, CURLOPT_PROXY, str_or(proxy, ""));
    lib.curl_easy_setopt(f->easy, CURLOPT_NOPROXY, str_or(proxy_none, ""));
}

static void set_body(fetch *f, const fetch_opts *o)
{
    if (o->pull) {
        f->pull = o->pull;
        lib.curl_easy_setopt(f->easy, CURLOPT_UPLOAD, 1L);
        lib.curl_easy_setopt(f->easy, CURLOPT_READFUNCTION, on_pull);
        lib.curl_easy_setopt(f->easy, CURLOPT_READDATA, f);
        if (o->body_n)
            lib.curl_easy_setopt(f->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)o->body_n);
    } else if (o->body || str_eq(o->method, "POST") || str_eq(o->method, "PUT") ||
               str_eq(o->method, "PATCH")) {
        lib.curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_n);
        lib.curl_easy_setopt(f->easy, CURLOPT_COPYPOSTFIELDS, str_or(o->body, ""));
    }
    if (str_eq(o->method, "HEAD"))
        lib.curl_easy_setopt(f->easy, CURLOPT_NOBODY, 1L);
    else
        lib.curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, o->method);
}

static void set_headers(fetch *f, const fetch_opts *o)
{
    f->headers = lib.curl_slist_append(f->headers, "Expect:");
    for (size_t i = 0; o->headers && i < o->headers->n; i++)
        f->headers = lib.curl_slist_append(f->headers, o->headers->v[i]);
    lib.curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
    if (o->user) {
        lib.curl_easy_setopt(f->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        lib.curl_easy_setopt(f->easy, CURLOPT_USERNAME, o->user);
        lib.curl_easy_setopt(f->easy, CURLOPT_PASSWORD, str_or(o->password, ""));
    }
}

/* "Get", as dockerd's errors have it. */
static void name_method(char to[8], const char *method)
{
    snprintf(to, 8, "%s", method);
    for (char *p = to + 1; *p; p++)
        *p |= 'a' - 'A';
}

/* Whoever asks may be called by the library, which does not like to be entered then. */
static void add(void *arg)
{
    fetch *f = arg;

    if (f->freed)
        return;
    f->added = lib.curl_multi_add_handle(multi, f->easy) == CURLM_OK;
    if (f->added)
        act(CURL_SOCKET_TIMEOUT, 0);
    else
        end(f, CURLE_FAILED_INIT);
}

fetch *fetch_begin(const fetch_opts *o, const fetch_events *ev, void *arg)
{
    fetch *f = new0(fetch);

    begin_multi();
    f->ev = *ev;
    f->arg = arg;
    f->url = xstrdup(o->url);
    name_method(f->method, o->method);
    f->easy = lib.curl_easy_init();
    assert(f->easy);
    lib.curl_easy_setopt(f->easy, CURLOPT_URL, f->url);
    lib.curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
    lib.curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->reason);
    lib.curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
    lib.curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    lib.curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 0L);
    lib.curl_easy_setopt(f->easy, CURLOPT_BUFFERSIZE, (long)SMALL_BUFFER);
    lib.curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT, (long)FETCH_CONNECT_S);
    lib.curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_LIMIT, (long)FETCH_SLOWEST);
    lib.curl_easy_setopt(f->easy, CURLOPT_LOW_SPEED_TIME, (long)FETCH_STALL_S);
    if (o->total_ms)
        lib.curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, (long)o->total_ms);
    lib.curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_write);
    lib.curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    set_body(f, o);
    set_headers(f, o);
    set_tls(f, o);
    set_proxy(f);
    loop_defer(add, f);
    return f;
}

const char *fetch_header(const fetch *f, const char *name)
{
    struct curl_header *h = NULL;

    return lib.curl_easy_header(f->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value
                                                                                     : NULL;
}

static void on_resume(void *arg)
{
    fetch *f = arg;

    f->resuming = false;
    if (f->freed || f->ended || !f->added)
        return;
    lib.curl_easy_pause(f->easy, CURLPAUSE_CONT);
    act(CURL_SOCKET_TIMEOUT, 0);
}

void fetch_resume(fetch *f)
{
    f->paused = false;
    if (f->resuming || f->ended || f->freed)
        return;
    f->resuming = true;
    loop_defer(on_resume, f);
}

/* The memory goes from the loop: the library may be in the middle of it. */
void fetch_free(fetch *f)
{
    if (!f || f->freed)
        return;
    f->freed = true;
    loop_defer(free_now, f);
}

/* ---- URLs ---- */

static char *part_of(CURLU *u, CURLUPart part, unsigned flags)
{
    char *text = NULL, *copy;

    if (lib.curl_url_get(u, part, &text, flags))
        return NULL;
    copy = xstrdup(text);
    lib.curl_free(text);
    return copy;
}

err *fetch_url_parse(const char *base, const char *text, fetch_url *ret)
{
    CURLU *u = lib.curl_url();
    bool ok = (!base || !lib.curl_url_set(u, CURLUPART_URL, base, 0)) &&
              !lib.curl_url_set(u, CURLUPART_URL, text, 0);

    *ret = (fetch_url){0};
    if (ok) {
        ret->text = part_of(u, CURLUPART_URL, 0);
        ret->scheme = part_of(u, CURLUPART_SCHEME, 0);
        ret->host = part_of(u, CURLUPART_HOST, 0);
        ret->port = part_of(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    }
    lib.curl_url_cleanup(u);
    if (ret->text && ret->host && ret->port &&
        (str_eq(ret->scheme, "http") || str_eq(ret->scheme, "https")))
        return NULL;
    fetch_url_done(ret);
    return err_new(ERR_INVALID, "not an http or https address: %.*s", URL_SHOWN, text);
}

bool fetch_same_site(const char *a, const char *b)
{
    const char *site_a, *site_b;

    if (str_eq_nocase(a, b))
        return true;
    if (!lib.psl_builtin)
        return false;
    site_a = lib.psl_registrable_domain(lib.psl_builtin(), a);
    site_b = lib.psl_registrable_domain(lib.psl_builtin(), b);
    return site_a && site_b && str_eq_nocase(site_a, site_b);
}

void fetch_url_done(fetch_url *u)
{
    free(u->text);
    free(u->scheme);
    free(u->host);
    free(u->port);
    *u = (fetch_url){0};
}

void fetch_set_proxies(const char *http, const char *https, const char *none_for)
{
    free(proxy_http);
    free(proxy_https);
    free(proxy_none);
    proxy_http = xstrdup(http);
    proxy_https = xstrdup(https);
    proxy_none = xstrdup(none_for);
    proxies_set = http || https || none_for;
}

void fetch_done(void)
{
    if (multi)
        lib.curl_multi_cleanup(take(multi));
    timer_stop(take(tick));
    fetch_set_proxies(NULL, NULL, NULL);
}
