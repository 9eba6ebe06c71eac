/* netfiles_test.c - resolv.conf, hosts, hostname: what stands in them, and what never gets in. */
#include "netfiles_text.h"
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LOCALHOST                                                                             \
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n" \
    "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

/* A list of blank-separated words; NULL is nil. */
static json_strs words(const char *text, char *copy, size_t size, char **v)
{
    json_strs s = {.v = v};

    if (!text)
        return s;
    s.set = true;
    assert_true(strlen(text) < size);
    memcpy(copy, text, strlen(text) + 1);
    for (char *at = copy; *at;) {
        v[s.n++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
    }
    return s;
}

typedef struct resolv_case {
    const char *name, *host;
    bool host_mode;
    const char *servers, *search, *options; /* the container's */
    const char *d_servers, *d_search;       /* the daemon's */
    const char *want;
} resolv_case;

static const resolv_case resolv_cases[] = {
    {"copied", "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n",
     .want = "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n"},
    {"comments and blanks", "# x\n;y\n\n \tnameserver\t10.0.0.1  \r\n",
     .want = "nameserver 10.0.0.1\n"},
    {"loopback goes", "nameserver 127.0.0.1\nnameserver 127.0.0.53\nnameserver 9.9.9.9\n",
     .want = "nameserver 9.9.9.9\n"},
    {"IPv6 servers go", "nameserver ::1\nnameserver 2001:db8::1\nnameserver 9.9.9.9\n",
     .want = "nameserver 9.9.9.9\n"},
    {"fallback", "nameserver 127.0.0.53\nsearch lan\n",
     .want = "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch lan\n"},
    {"no file", "", .want = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
    {"the last search counts", "nameserver 1.1.1.1\nsearch a\ndomain b\n",
     .want = "nameserver 1.1.1.1\nsearch b\n"},
    {"options add up", "nameserver 1.1.1.1\noptions a\noptions b c\n",
     .want = "nameserver 1.1.1.1\noptions a b c\n"},
    {"others stay", "nameserver 1.1.1.1\nsortlist 10.0.0.0\n",
     .want = "nameserver 1.1.1.1\nsortlist 10.0.0.0\n"},
    {"not an address", "nameserver evil\nnameserver 1.1.1.1\n", .want = "nameserver 1.1.1.1\n"},
    {"daemon wins over host", "nameserver 1.1.1.1\nsearch a\n", .d_servers = "2.2.2.2",
     .d_search = "d", .want = "nameserver 2.2.2.2\nsearch d\n"},
    {"container wins over daemon", "nameserver 1.1.1.1\n", .d_servers = "2.2.2.2",
     .servers = "3.3.3.3 4.4.4.4", .want = "nameserver 3.3.3.3\nnameserver 4.4.4.4\n"},
    {"a wish is not filtered", "nameserver 1.1.1.1\n", .servers = "127.0.0.1 ::1",
     .want = "nameserver 127.0.0.1\nnameserver ::1\n"},
    {"a dot is no search", "nameserver 1.1.1.1\nsearch a\n", .search = ".",
     .want = "nameserver 1.1.1.1\n"},
    {"options replaced", "nameserver 1.1.1.1\noptions a\n", .options = "ndots:5 timeout:1",
     .want = "nameserver 1.1.1.1\noptions ndots:5 timeout:1\n"},
    {"host mode as is", "# mine\nnameserver 127.0.0.53\n", .host_mode = true,
     .want = "# mine\nnameserver 127.0.0.53\n"},
    {"host mode with a wish", "nameserver 127.0.0.53\n", .host_mode = true, .search = "x",
     .want = "nameserver 127.0.0.53\nsearch x\n"},
};

static void test_resolv_conf(void **state)
{
    char copy[5][256];
    char *v[5][16];

    (void)state;
    for (size_t i = 0; i < COUNT(resolv_cases); i++) {
        const resolv_case *c = &resolv_cases[i];
        json_strs servers = words(c->servers, copy[0], 256, v[0]),
                  search = words(c->search, copy[1], 256, v[1]);
        json_strs options = words(c->options, copy[2], 256, v[2]);
        json_strs d_servers = words(c->d_servers, copy[3], 256, v[3]),
                  d_search = words(c->d_search, copy[4], 256, v[4]);
        dns_opts container = {&servers, &search, &options}, daemon = {&d_servers, &d_search, NULL};
        auto_free char *text = NULL;

        print_message("%s\n", c->name);
        assert_null(netfiles_resolv_conf(c->host, c->host_mode, &container, &daemon, &text));
        assert_string_equal(text, c->want);
    }
}

static void test_nobody_wishes_anything(void **state)
{
    auto_free char *text = NULL;

    (void)state;
    assert_null(netfiles_resolv_conf("nameserver 1.1.1.1\n", false, NULL, NULL, &text));
    assert_string_equal(text, "nameserver 1.1.1.1\n");
}

static void test_hosts(void **state)
{
    static const struct {
        const char *hostname, *domainname, *extra, *ip, *host_text, *want;
    } cases[] = {
        {"abc", NULL, NULL, "172.17.0.2", NULL, LOCALHOST "172.17.0.2\tabc\n"},
        {"abc", "lan", NULL, "172.17.0.2", NULL, LOCALHOST "172.17.0.2\tabc.lan abc\n"},
        {"abc", "", "a:1.2.3.4 b=5.6.7.8", "172.17.0.2", NULL,
         LOCALHOST "1.2.3.4\ta\n5.6.7.8\tb\n172.17.0.2\tabc\n"},
        {"abc", "", "six:2001:db8::1 six2:[::2] six3=::3", "", NULL,
         LOCALHOST "2001:db8::1\tsix\n::2\tsix2\n::3\tsix3\n"},
        {"abc", "", "host.docker.internal:host-gateway", NULL, NULL,
         LOCALHOST "172.17.0.1\thost.docker.internal\n"},
        {"abc", "", NULL, "", "127.0.0.1 here\n", "127.0.0.1 here\n"},
        {"abc", "", "a:1.2.3.4", "", "127.0.0.1 here\n", LOCALHOST "1.2.3.4\ta\n"},
    };
    char copy[256];
    char *v[16];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_strs extra = words(cases[i].extra, copy, sizeof copy, v);
        strv ips = {(char *[]){(char *)cases[i].ip, NULL}, str_empty(cases[i].ip) ? 0 : 1};
        hosts_opts opts = {.hostname = cases[i].hostname,
                           .domainname = cases[i].domainname,
                           .extra_hosts = &extra,
                           .host_gateway = "172.17.0.1",
                           .ips = &ips,
                           .host_text = cases[i].host_text};
        auto_free char *text = NULL;

        assert_null(netfiles_hosts(&opts, &text));
        assert_string_equal(text, cases[i].want);
    }
}

static void refused(err *e, const char *want)
{
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_INVALID);
    assert_string_equal(err_message(e), want);
    err_free(e);
}

static err *check_one(const char *server, const char *search, const char *option, const char *extra)
{
    json_strs none = {0};
    json_strs s = {(char *[]){(char *)server}, 1, true}, d = {(char *[]){(char *)search}, 1, true};
    json_strs o = {(char *[]){(char *)option}, 1, true}, x = {(char *[]){(char *)extra}, 1, true};
    dns_opts dns = {server ? &s : &none, search ? &d : &none, option ? &o : &none};

    return netfiles_check(&dns, extra ? &x : &none);
}

static void test_nothing_adds_a_line(void **state)
{
    (void)state;
    assert_null(check_one("1.1.1.1", "lan", "ndots:0", "a:1.2.3.4"));
    refused(check_one("1.1.1.1\nnameserver 6.6.6.6", NULL, NULL, NULL),
            "bad nameserver address: 1.1.1.1\nnameserver 6.6.6.6");
    refused(check_one("dns.example", NULL, NULL, NULL), "bad nameserver address: dns.example");
    refused(check_one(NULL, "a\nnameserver 6.6.6.6", NULL, NULL),
            "invalid DNS search domain: a\nnameserver 6.6.6.6");
    refused(check_one(NULL, "", NULL, NULL), "invalid DNS search domain: ");
    refused(check_one(NULL, NULL, "a b", NULL), "invalid DNS option: a b");
    refused(check_one(NULL, NULL, NULL, "a"), "bad format for add-host: \"a\"");
    refused(check_one(NULL, NULL, NULL, ":1.2.3.4"), "bad format for add-host: \":1.2.3.4\"");
    refused(check_one(NULL, NULL, NULL, "a:1.2.3"), "invalid IP address in add-host: \"1.2.3\"");
    refused(check_one(NULL, NULL, NULL, "a:1.2.3.4\n6.6.6.6 bank"),
            "invalid IP address in add-host: \"1.2.3.4\n6.6.6.6 bank\"");
    refused(check_one(NULL, NULL, NULL, "a\n6.6.6.6 bank:1.2.3.4"),
            "bad format for add-host: \"a\n6.6.6.6 bank:1.2.3.4\"");
    refused(netfiles_check_hostname("a\nb", NULL), "invalid hostname: a\nb");
    refused(netfiles_check_hostname("a", "b\t6.6.6.6"), "invalid domain name: b\t6.6.6.6");
    assert_null(netfiles_check_hostname("a_b-c.d", "lan"));
}

static void test_files_refuse_what_create_should_have(void **state)
{
    json_strs bad = {(char *[]){"x\ny"}, 1, true};
    dns_opts wish = {NULL, &bad, NULL}, nothing = {0};
    strv ips = {(char *[]){"172.17.0.2", NULL}, 1};
    hosts_opts host = {.hostname = "a\n6.6.6.6 bank", .ips = &ips};
    auto_free char *text = NULL;

    (void)state;
    refused(netfiles_resolv_conf("", false, &wish, &nothing, &text),
            "invalid DNS search domain: x\ny");
    refused(netfiles_hosts(&host, &text), "invalid hostname: a\n6.6.6.6 bank");
    refused(netfiles_hostname("a\nb", &text), "invalid hostname: a\nb");
    assert_null(text);
    assert_null(netfiles_hostname("web-1", &text));
    assert_string_equal(text, "web-1\n");
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_the_stub_of_resolved_is_looked_through(void **state)
{
    char dir[] = "/tmp/berth-resolv-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    {
        auto_free char *etc = xasprintf("%s/etc", dir), *real = xasprintf("%s/real", dir),
                       *none = xasprintf("%s/none", dir);
        auto_free char *stub = NULL, *plain = NULL, *missing = NULL;

        put(real, "nameserver 10.1.1.1\n");
        put(etc, "nameserver 127.0.0.53\nsearch x\n");
        assert_null(netfile_read_resolv(etc, real, &stub));
        assert_string_equal(stub, "nameserver 10.1.1.1\n");
        put(etc, "nameserver 127.0.0.53\nnameserver 1.1.1.1\n");
        assert_null(netfile_read_resolv(etc, real, &plain));
        assert_string_equal(plain, "nameserver 127.0.0.53\nnameserver 1.1.1.1\n");
        assert_null(netfile_read_resolv(none, real, &missing));
        assert_string_equal(missing, "");
        unlink(etc);
        unlink(real);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolv_conf),
        cmocka_unit_test(test_nobody_wishes_anything),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_nothing_adds_a_line),
        cmocka_unit_test(test_files_refuse_what_create_should_have),
        cmocka_unit_test(test_the_stub_of_resolved_is_looked_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
