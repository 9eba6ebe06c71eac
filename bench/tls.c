/* tls.c - one TLS client session between two buffers; it never touches a socket. */
#include "tls.h"
#include <berth/mem.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <string.h>

struct tls_config {
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca, cert;
    mbedtls_pk_context key;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
};

struct tls {
    mbedtls_ssl_context ssl;
    buf arrived; /* from the socket, not yet decrypted */
    buf *cipher;
    bool ready;
};

must_check static err *failure(int code, const char *what)
{
    char text[128];

    mbedtls_strerror(code, text, sizeof text);
    return err_new(ERR_SYSTEM, "%s: %s", what, text);
}

must_check static err *load_files(tls_config *c, const char *ca, const char *cert, const char *key)
{
    int n;

    if (ca) {
        if ((n = mbedtls_x509_crt_parse_file(&c->ca, ca)))
            return failure(n, ca);
        mbedtls_ssl_conf_ca_chain(&c->conf, &c->ca, NULL);
    }
    if (cert) {
        if ((n = mbedtls_x509_crt_parse_file(&c->cert, cert)))
            return failure(n, cert);
        if ((n = mbedtls_pk_parse_keyfile(&c->key, key, NULL)))
            return failure(n, key);
        if ((n = mbedtls_ssl_conf_own_cert(&c->conf, &c->cert, &c->key)))
            return failure(n, cert);
    }
    return NULL;
}

static int send_cipher(void *arg, const unsigned char *p, size_t n)
{
    tls *t = arg;

    buf_add(t->cipher, p, n);
    return (int)n;
}

static int receive_cipher(void *arg, unsigned char *p, size_t n)
{
    tls *t = arg;

    if (!t->arrived.len)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (n > t->arrived.len)
        n = t->arrived.len;
    memcpy(p, t->arrived.data, n);
    buf_consume(&t->arrived, n);
    return (int)n;
}

must_check static err *encrypt(tls *t, buf *plain)
{
    while (plain->len) {
        int n = mbedtls_ssl_write(&t->ssl, (const unsigned char *)plain->data, plain->len);

        if (n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_WANT_WRITE)
            return NULL;
        if (n < 0)
            return failure(n, "TLS");
        buf_consume(plain, (size_t)n);
    }
    return NULL;
}

err *tls_config_new(const char *ca, const char *cert, const char *key, tls_config **ret_config)
{
    tls_config *c = new0(tls_config);
    err *e;

    mbedtls_ssl_config_init(&c->conf);
    mbedtls_x509_crt_init(&c->ca);
    mbedtls_x509_crt_init(&c->cert);
    mbedtls_pk_init(&c->key);
    mbedtls_entropy_init(&c->entropy);
    mbedtls_ctr_drbg_init(&c->random);
    mbedtls_ctr_drbg_seed(&c->random, mbedtls_entropy_func, &c->entropy, NULL, 0);
    mbedtls_ssl_config_defaults(&c->conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(&c->conf, mbedtls_ctr_drbg_random, &c->random);
    mbedtls_ssl_conf_authmode(&c->conf, ca ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    e = load_files(c, ca, cert, key);
    if (e) {
        tls_config_free(c);
        return e;
    }
    *ret_config = c;
    return NULL;
}

void tls_config_free(tls_config *c)
{
    if (!c)
        return;
    mbedtls_ssl_config_free(&c->conf);
    mbedtls_x509_crt_free(&c->ca);
    mbedtls_x509_crt_free(&c->cert);
    mbedtls_pk_free(&c->key);
    mbedtls_ctr_drbg_free(&c->random);
    mbedtls_entropy_free(&c->entropy);
    mem_freep(&c);
}

err *tls_new(const tls_config *c, const char *host, buf *cipher, tls **ret_tls)
{
    tls *t = new0(tls);
    int n;

    t->cipher = cipher;
    mbedtls_ssl_init(&t->ssl);
    n = mbedtls_ssl_setup(&t->ssl, &c->conf);
    if (!n)
        n = mbedtls_ssl_set_hostname(&t->ssl, host);
    if (n) {
        tls_free(t);
        return failure(n, "TLS");
    }
    mbedtls_ssl_set_bio(&t->ssl, t, send_cipher, receive_cipher, NULL);
    *ret_tls = t;
    return NULL;
}

void tls_free(tls *t)
{
    if (!t)
        return;
    mbedtls_ssl_free(&t->ssl);
    buf_done(&t->arrived);
    mem_freep(&t);
}

void tls_feed(tls *t, const void *p, size_t n)
{
    buf_add(&t->arrived, p, n);
}

err *tls_step(tls *t, buf *plain, bool (*got)(void *arg, const char *p, size_t n), void *arg,
              bool *ret_closed)
{
    unsigned char piece[16384];
    int n;

    if (!t->ready) {
        n = mbedtls_ssl_handshake(&t->ssl);
        if (n == MBEDTLS_ERR_SSL_WANT_READ)
            return NULL;
        if (n)
            return failure(n, "TLS handshake");
        t->ready = true;
    }
    while ((n = mbedtls_ssl_read(&t->ssl, piece, sizeof piece)) > 0)
        if (!got(arg, (const char *)piece, (size_t)n))
            return NULL;
    if (!n || n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        *ret_closed = true;
        return NULL;
    }
    if (n != MBEDTLS_ERR_SSL_WANT_READ)
        return failure(n, "TLS");
    return encrypt(t, plain);
}
