/* tls.c - TLS for listeners through mbedTLS: 1.2 and up, AEAD suites, client certificates on
 * demand.
 *
 * A session has no I/O of its own: ciphertext is fed in, mbedTLS reads it from there and writes to
 * the socket, whose queue is the bound.  One context, one thread.  Loop thread only. */
#include "tls.h"
#include <berth/buf.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/x509_crt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN_BLOCK = 16 << 10, WAITING_MAX = 1 << 20 };

struct http_tls {
    mbedtls_ssl_config config;
    mbedtls_x509_crt ca, cert;
    mbedtls_pk_context key;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
};

struct tls_session {
    mbedtls_ssl_context ssl;
    sock *sock;
    tls_events ev;
    void *arg;
    const char *in; /* ciphertext being fed, not yet read by mbedTLS */
    size_t in_len;
    buf waiting; /* plaintext from before the handshake was over */
    bool up, eof_told;
};

static const int suites[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};
static const char *alpn[] = {"http/1.1", NULL};

/* mbedTLS tells only "read failed" of a file: errno, which it leaves alone, says why.  A positive
 * code counts the certificates of a file that could not be read. */
static err *tls_error(int code, const char *what, const char *name)
{
    char text[128] = "not all certificates in it can be read";

    if (code == MBEDTLS_ERR_X509_FILE_IO_ERROR || code == MBEDTLS_ERR_PK_FILE_IO_ERROR)
        return err_errno(errno, "could not %s \"%s\"", what, name);
    if (code < 0)
        mbedtls_strerror(code, text, sizeof(text));
    return err_new(ERR_INVALID, "could not %s \"%s\": %s", what, name, text);
}

static err *load(http_tls *t, const http_tls_opts *o)
{
    static const char personal[] = "berth listener";
    int rc;

    rc = mbedtls_ctr_drbg_seed(&t->random, mbedtls_entropy_func, &t->entropy,
                               (const unsigned char *)personal, sizeof(personal));
    if (rc)
        return tls_error(rc, "seed the random generator for", "TLS");
    if ((rc = mbedtls_x509_crt_parse_file(&t->cert, o->cert_file)))
        return tls_error(rc, "load X509 key pair: certificate", o->cert_file);
    if ((rc = mbedtls_pk_parse_keyfile(&t->key, o->key_file, NULL)))
        return tls_error(rc, "load X509 key pair: key", o->key_file);
    if ((rc = mbedtls_pk_check_pair(&t->cert.pk, &t->key)))
        return tls_error(rc, "load X509 key pair: the key does not belong to certificate",
                         o->cert_file);
    if (o->ca_file && (rc = mbedtls_x509_crt_parse_file(&t->ca, o->ca_file)))
        return tls_error(rc, "read CA certificate", o->ca_file);
    rc = mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER,
                                     MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (!rc)
        rc = mbedtls_ssl_conf_own_cert(&t->config, &t->cert, &t->key);
    if (!rc)
        rc = mbedtls_ssl_conf_alpn_protocols(&t->config, alpn);
    return rc ? tls_error(rc, "configure", "TLS") : NULL;
}

err *http_tls_new(const http_tls_opts *opts, http_tls **ret_tls)
{
    http_tls *t = new0(http_tls);
    err *e;

    mbedtls_ssl_config_init(&t->config);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_x509_crt_init(&t->cert);
    mbedtls_pk_init(&t->key);
    mbedtls_entropy_init(&t->entropy);
    mbedtls_ctr_drbg_init(&t->random);
    if ((e = load(t, opts))) {
        http_tls_free(t);
        return e;
    }
    mbedtls_ssl_conf_rng(&t->config, mbedtls_ctr_drbg_random, &t->random);
    mbedtls_ssl_conf_min_version(&t->config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(&t->config, suites);
    mbedtls_ssl_conf_renegotiation(&t->config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    if (opts->ca_file) {
        mbedtls_ssl_conf_ca_chain(&t->config, &t->ca, NULL);
        mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    } else {
        mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_NONE);
    }
    *ret_tls = t;
    return NULL;
}

void http_tls_free(http_tls *t)
{
    if (!t)
        return;
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_x509_crt_free(&t->cert);
    mbedtls_pk_free(&t->key);
    mbedtls_ctr_drbg_free(&t->random);
    mbedtls_entropy_free(&t->entropy);
    free(t);
}

static int bio_send(void *ctx, const unsigned char *p, size_t n)
{
    sock_write(((tls_session *)ctx)->sock, p, n);
    return (int)n;
}

static int bio_recv(void *ctx, unsigned char *p, size_t n)
{
    tls_session *t = ctx;

    if (!t->in_len)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (n > t->in_len)
        n = t->in_len;
    memcpy(p, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

tls_session *tls_session_new(http_tls *tls, sock *s, const tls_events *ev, void *arg)
{
    tls_session *t = new0(tls_session);

    mbedtls_ssl_init(&t->ssl);
    if (mbedtls_ssl_setup(&t->ssl, &tls->config))
        abort(); /* only memory can be short */
    mbedtls_ssl_set_bio(&t->ssl, t, bio_send, bio_recv, NULL);
    t->sock = s;
    t->ev = *ev;
    t->arg = arg;
    return t;
}

/* A client certificate for something else than clients does not count. */
static bool client_is_for_clients(const tls_session *t)
{
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&t->ssl);

    return !peer || !mbedtls_x509_crt_check_extended_key_usage(
                        peer, MBEDTLS_OID_CLIENT_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH));
}

static bool handshake(tls_session *t)
{
    int rc = mbedtls_ssl_handshake(&t->ssl);

    if (rc == MBEDTLS_ERR_SSL_WANT_READ)
        return true;
    if (rc || !client_is_for_clients(t)) {
        char text[128] = "the certificate is not for clients";

        if (rc)
            mbedtls_strerror(rc, text, sizeof(text));
        log_debug("TLS handshake failed", "peer", sock_peer(t->sock), "error", text);
        return false;
    }
    t->up = true;
    if (t->waiting.len)
        tls_session_write(t, t->waiting.data, t->waiting.len);
    buf_done(&t->waiting);
    return true;
}

bool tls_session_feed(tls_session *t, const char *p, size_t n)
{
    unsigned char plain[PLAIN_BLOCK];
    int got = MBEDTLS_ERR_SSL_WANT_READ;

    t->in = p;
    t->in_len = n;
    if (!t->up && !handshake(t))
        return false;
    while (t->up && (got = mbedtls_ssl_read(&t->ssl, plain, sizeof(plain))) > 0)
        t->ev.on_plain(t->arg, (const char *)plain, (size_t)got);
    if (!t->up || got == MBEDTLS_ERR_SSL_WANT_READ)
        return true;
    if (got == 0 || got == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        if (!t->eof_told)
            t->ev.on_eof(t->arg);
        t->eof_told = true;
        return true;
    }
    return false;
}

void tls_session_write(tls_session *t, const void *p, size_t n)
{
    const unsigned char *from = p;

    if (!t->up) {
        if (t->waiting.len + n <= WAITING_MAX)
            buf_add(&t->waiting, p, n);
        return;
    }
    while (n) {
        int put = mbedtls_ssl_write(&t->ssl, from, n);

        if (put <= 0)
            return; /* the session is dead; the next read says so */
        from += put;
        n -= (size_t)put;
    }
}

bool tls_session_is_up(const tls_session *t)
{
    return t->up;
}

void tls_session_bye(tls_session *t)
{
    if (t->up)
        mbedtls_ssl_close_notify(&t->ssl);
}

void tls_session_free(tls_session *t)
{
    if (!t)
        return;
    mbedtls_ssl_free(&t->ssl);
    buf_done(&t->waiting);
    free(t);
}
