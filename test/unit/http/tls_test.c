/* tls_test.c - TLS listeners against openssl's client: who gets in, who does not, and which words
 * are said. */
#include "http_rig.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static char certs[32];

/* Runs a command in the certificates' directory; input is its stdin, out gets its stdout and
 * stderr. */
static int run(const char *input, const strv *argv, buf *out)
{
    posix_spawn_file_actions_t actions;
    int in[2], from[2], status = 0;
    pid_t pid;

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, certs);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    posix_spawn_file_actions_adddup2(&actions, from[1], 2);
    assert_int_equal(posix_spawnp(&pid, "openssl", &actions, NULL, argv->v, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(from[1]);
    assert_true(write(in[1], input, strlen(input)) >= 0);
    for (struct pollfd p = {.fd = from[0], .events = POLLIN}; poll(&p, 1, 3000) > 0;) {
        char piece[4096];
        ssize_t n = read(from[0], piece, sizeof(piece));

        if (n <= 0)
            break;
        buf_add(out, piece, (size_t)n);
    }
    close(in[1]);
    close(from[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void openssl(const char *arg, ...)
{
    auto_buf out = {0};
    auto_strv argv = {0};
    va_list ap;

    strv_push(&argv, "openssl");
    va_start(ap, arg);
    for (; arg; arg = va_arg(ap, const char *))
        strv_push(&argv, arg);
    va_end(ap);
    assert_int_equal(run("", &argv, &out), 0);
}

static void make_ca(const char *name)
{
    auto_free char *key = xasprintf("%s.key", name), *crt = xasprintf("%s.crt", name),
                   *subject = xasprintf("/CN=%s", name);

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", subject, "-keyout", key, "-out", crt, NULL);
}

static void make_cert(const char *name, const char *ca, const char *usage)
{
    auto_free char *key = xasprintf("%s.key", name), *crt = xasprintf("%s.crt", name),
                   *csr = xasprintf("%s.csr", name), *ext = xasprintf("%s/%s.ext", certs, name),
                   *ca_crt = xasprintf("%s.crt", ca), *ca_key = xasprintf("%s.key", ca),
                   *subject = xasprintf("/CN=%s", name);
    FILE *f = fopen(ext, "we");

    assert_non_null(f);
    fprintf(f, "extendedKeyUsage=%s\nsubjectAltName=IP:127.0.0.1\n", usage);
    fclose(f);
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            subject, "-keyout", key, "-out", csr, NULL);
    openssl("x509", "-req", "-days", "2", "-in", csr, "-CA", ca_crt, "-CAkey", ca_key,
            "-CAcreateserial", "-extfile", ext, "-out", crt, NULL);
}

static http_tls_opts tls_opts;
static char ca_file[64], cert_file[64], key_file[64];

static int make_all(void **state)
{
    (void)state;
    snprintf(certs, sizeof(certs), "/tmp/berth-certs-XXXXXX");
    assert_non_null(mkdtemp(certs));
    snprintf(ca_file, sizeof(ca_file), "%s/ca.crt", certs);
    snprintf(cert_file, sizeof(cert_file), "%s/server.crt", certs);
    snprintf(key_file, sizeof(key_file), "%s/server.key", certs);
    make_ca("ca");
    make_ca("other");
    make_cert("server", "ca", "serverAuth");
    make_cert("client", "ca", "clientAuth");
    make_cert("stranger", "other", "clientAuth");
    tls_opts = (http_tls_opts){ca_file, cert_file, key_file};
    rig.tls_opts = &tls_opts;
    return 0;
}

static int remove_all(void **state)
{
    DIR *d = opendir(certs);
    struct dirent *entry;

    (void)state;
    while (d && (entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
    return rmdir(certs);
}

#define REQUEST "GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

/* What openssl's client says about one request; who is the certificate's name or NULL. */
static void ask(const char *who, const char *option, const char *value, const char *text, buf *out)
{
    auto_free char *address = xasprintf("127.0.0.1:%u", rig.tls_port);
    auto_free char *crt = who ? xasprintf("%s.crt", who) : NULL,
                   *key = who ? xasprintf("%s.key", who) : NULL;
    strv argv = {0};

    strv_add(&argv, "openssl", "s_client", "-connect", address, "-CAfile", "ca.crt",
             "-verify_return_error", NULL);
    if (who)
        strv_add(&argv, "-cert", crt, "-key", key, NULL);
    if (option)
        strv_push(&argv, option);
    if (option)
        strv_split(&argv, value, ' ');
    run(text, &argv, out);
    strv_done(&argv);
    buf_char(out, '\n');
}

static bool answered(const buf *out)
{
    return strstr(out->data, "HTTP/1.1 200 OK") != NULL;
}

static void test_good_client(void **state)
{
    auto_buf out = {0};

    (void)state;
    ask("client", "-alpn", "h2,http/1.1", REQUEST, &out);
    assert_true(answered(&out));
    assert_non_null(strstr(out.data, "TLSv1.2"));
    assert_non_null(strstr(out.data, "ALPN protocol: http/1.1"));
    assert_non_null(
        strstr(out.data, "Secure Renegotiation IS supported")); /* the extension; not the deed */
    assert_true(RIG_UNTIL(rig_conns() == 0));
}

static void test_big_answer(void **state)
{
    auto_buf out = {0};

    (void)state;
    ask("client", NULL, NULL, "GET /big?n=3000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        &out);
    assert_true(answered(&out));
    assert_true(out.len > 3000000);
}

static void test_strangers(void **state)
{
    static const char *const who[] = {NULL, "stranger", "server"}; /* the last is not for clients */

    (void)state;
    for (size_t i = 0; i < COUNT(who); i++) {
        auto_buf out = {0};

        ask(who[i], NULL, NULL, REQUEST, &out);
        assert_false(answered(&out));
    }
    assert_int_equal(rig.handled, 0);
    assert_true(RIG_UNTIL(rig_conns() == 0));
}

static void test_old_protocols_and_ciphers(void **state)
{
    auto_buf old = {0}, weak = {0};

    (void)state;
    ask("client", "-cipher", "ALL:@SECLEVEL=0 -max_protocol TLSv1.1", REQUEST, &old);
    assert_non_null(strstr(old.data, "alert protocol version"));
    ask("client", "-cipher", "ECDHE-ECDSA-AES128-SHA256", REQUEST, &weak); /* not AEAD */
    assert_non_null(strstr(weak.data, "alert handshake failure"));
    assert_false(answered(&old) || answered(&weak));
    assert_int_equal(rig.handled, 0);
}

static void test_renegotiation(void **state)
{
    auto_buf out = {0};

    (void)state;
    ask("client", NULL, NULL, "R\n", &out); /* makes openssl's client ask for one */
    assert_non_null(strstr(out.data, "RENEGOTIATING"));
    assert_non_null(strstr(out.data, "no renegotiation"));
}

static void set_short(void *arg)
{
    (void)arg;
    rig.server->limits.tls_ms = 100;
    rig.server->limits.sweep_ms = 20;
}

static void test_handshake_takes_too_long(void **state)
{
    auto_buf in = {0};
    int fd;

    (void)state;
    rig_call(set_short, NULL);
    fd = cl_tcp(rig.tls_port);
    assert_true(cl_ends(fd, &in));
    close(fd);
    fd = cl_tcp(rig.tls_port);
    cl_say(fd, "GET / HTTP/1.1\r\n\r\n"); /* no TLS at all */
    while (cl_more(fd, &in, RIG_PATIENCE_MS) > 0)
        continue;
    assert_null(in.data ? strstr(in.data, "HTTP/1.1") : NULL);
    close(fd);
    assert_true(RIG_UNTIL(rig_conns() == 0));
}

static void check_refused(const char *ca, const char *cert, const char *key, const char *want)
{
    http_tls *t = NULL;
    auto_err *e = http_tls_new(&(http_tls_opts){ca, cert, key}, &t);

    assert_null(t);
    assert_non_null(e);
    if (!strstr(err_message(e), want))
        fail_msg("\"%s\" does not say \"%s\"", err_message(e), want);
}

static void test_bad_files(void **state)
{
    auto_free char *client_key = xasprintf("%s/client.key", certs);

    (void)state;
    check_refused("/nowhere/ca.pem", cert_file, key_file,
                  "could not read CA certificate \"/nowhere/ca.pem\": No such file or directory");
    check_refused(ca_file, "/nowhere/cert.pem", key_file,
                  "could not load X509 key pair: certificate \"/nowhere/cert.pem\": No such file "
                  "or directory");
    check_refused(
        ca_file, cert_file, "/nowhere/key.pem",
        "could not load X509 key pair: key \"/nowhere/key.pem\": No such file or directory");
    check_refused(ca_file, key_file, key_file, "could not load X509 key pair: certificate");
    check_refused(ca_file, cert_file, cert_file, "could not load X509 key pair: key");
    check_refused(key_file, cert_file, key_file, "could not read CA certificate");
    check_refused(ca_file, cert_file, client_key,
                  "could not load X509 key pair: the key does not belong to certificate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_good_client),       rig_test(test_big_answer),
        rig_test(test_strangers),         rig_test(test_old_protocols_and_ciphers),
        rig_test(test_renegotiation),     rig_test(test_handshake_takes_too_long),
        cmocka_unit_test(test_bad_files),
    };

    return cmocka_run_group_tests(tests, make_all, remove_all);
}
