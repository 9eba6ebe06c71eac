"""Whom a registry leads to: our certificate stays with the registry, proof is wanted everywhere, passwords and TLS are not given up."""
import os
import shutil

import pytest

from conftest import Daemon
from registry_rig import Authority, Registry
from test_registry import AUTH, BASIC, GOOD, check_nothing_is_left, pull

OWN, OTHER, CARELESS = "10.99.0.1", "10.99.0.2", "10.99.0.3"
PORT = 5001


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("authority")))


@pytest.fixture(scope="module")
def d(authority):
    daemon = Daemon(["--insecure-registry", "%s:%d" % (CARELESS, PORT)])
    try:
        for address in (OWN, OTHER, CARELESS):
            daemon.in_netns("ip", "addr", "add", address + "/32", "dev", "lo")
        certs = os.path.join(daemon.root, "certs.d", "%s:%d" % (OWN, PORT))
        os.makedirs(certs)
        shutil.copy(authority.cert, os.path.join(certs, "ca.crt"))
        cert, key = authority.give("client")
        shutil.copy(cert, os.path.join(certs, "client.cert"))
        shutil.copy(key, os.path.join(certs, "client.key"))
        daemon.start()
        yield daemon
        assert daemon.stop() == 0
        assert "Sanitizer" not in daemon.log_text() and "runtime error" not in daemon.log_text(), daemon.log_text()
        assert "secret" not in daemon.log_text()
    finally:
        daemon.clean()


@pytest.fixture
def at(d, authority, tmp_path):
    """Registries by address: with a certificate of the known authority, of an unknown one, or without TLS."""
    made = []

    def make(address, by=authority, port=PORT):
        tls = by and (*by.give("server-" + address, address), authority.cert)
        made.append(Registry(d.netns, port, address, tls))
        made[-1].hold(GOOD)
        return made[-1]

    yield make
    for registry in made:
        registry.close()
    for name in d.out("images", "-q").split():
        d.docker("rmi", "-f", name)
    check_nothing_is_left(d)


@pytest.fixture
def unknown(tmp_path):
    return Authority(str(tmp_path), "unknown")


def leads_to(scheme, name):
    return lambda handler, path: "/blobs/" in path and (handler.answer(307, b"", Location="%s://%s%s" % (scheme, name, path)) or True)


def wants_token_of(realm):
    def lie(handler, path):
        if handler.headers.get("Authorization") == "Bearer t":
            return False
        handler.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Bearer realm="%s",service="s"' % realm)
        return True
    return lie


def gives_token(handler, path):
    handler.answer(200, b'{"token":"t"}')
    return True


def test_our_certificate_is_shown_to_the_registry(d, at):
    own = at(OWN)
    assert pull(d, own.name + "/x") is None
    assert own.shown and all(shown for shown in own.shown)


def test_a_redirect_elsewhere_is_not_shown_our_certificate(d, at):
    """The authority of the registry is good for the store too."""
    own, store = at(OWN), at(OTHER)
    own.lie = leads_to("https", store.name)
    assert pull(d, own.name + "/x") is None
    assert store.asked and not any(store.shown)


def test_a_token_server_elsewhere_is_not_shown_our_certificate(d, at):
    own, tokens = at(OWN), at(OTHER)
    own.lie, tokens.lie = wants_token_of("https://%s/token" % tokens.name), gives_token
    assert pull(d, own.name + "/x", auth=AUTH) is None
    assert len(tokens.asked) == 1 and not any(tokens.shown) and "Authorization" not in tokens.asked[0][2]


def test_another_port_of_the_registry_is_not_shown_our_certificate(d, at):
    own, tokens = at(OWN), at(OWN, port=5011)
    own.lie, tokens.lie = wants_token_of("https://%s/token" % tokens.name), gives_token
    assert pull(d, own.name + "/x", auth=AUTH) is None
    assert not any(tokens.shown) and tokens.asked[0][2]["Authorization"] == BASIC


def test_tls_is_not_given_up(d, at):
    """A redirect and a token server without TLS, of a registry that has it (S82, S84)."""
    own, plain = at(OWN), at(OTHER, by=None)
    own.lie = leads_to("http", plain.name)
    assert "redirects to %s without TLS: refused" % OTHER in pull(d, own.name + "/x")
    own.lie = wants_token_of("http://%s/token" % plain.name)
    assert "does not use TLS: refused" in pull(d, own.name + "/x", auth=AUTH)
    own.lie = wants_token_of("http://%s:5001/token" % OWN)
    assert "does not use TLS: refused" in pull(d, own.name + "/x", auth=AUTH)
    assert not plain.asked


def test_an_insecure_registry_does_not_make_others_insecure(d, at, unknown):
    """The registry needs no proof; a store and a token server elsewhere do, and get nothing before it."""
    own, other = at(CARELESS, by=unknown), at(OTHER, by=unknown)
    assert pull(d, own.name + "/x") is None
    own.lie = leads_to("https", other.name)
    d.docker("rmi", own.name + "/x")
    assert "certificate" in pull(d, own.name + "/x")
    own.lie, other.lie = wants_token_of("https://%s/token" % other.name), gives_token
    assert pull(d, own.name + "/x", auth=AUTH)
    assert not other.asked


def test_an_insecure_host_has_an_insecure_token_server(d, at, unknown):
    """Whoever stands between us and one port of a host stands before the other too."""
    own, tokens = at(CARELESS, by=unknown), at(CARELESS, by=unknown, port=5011)
    own.lie, tokens.lie = wants_token_of("https://%s/token" % tokens.name), gives_token
    assert pull(d, own.name + "/x", auth=AUTH) is None
    assert tokens.asked[0][2]["Authorization"] == BASIC


def test_a_mirror_has_its_own_certificates(d, at, unknown):
    """certs.d names the mirror's authority by the mirror's name; the registry's certificate is not shown to it."""
    mirror = at(OTHER, by=unknown)
    certs = os.path.join(d.root, "certs.d", mirror.name)
    config = os.path.join(d.root, "daemon.json")
    try:
        with open(config, "w") as f:
            f.write('{"registry-mirrors": {"%s:%d": ["https://%s"]}}' % (OWN, PORT, mirror.name))
        os.kill(d.process.pid, 1)
        assert pull(d, "%s:%d/x" % (OWN, PORT))  # the mirror is not trusted, the registry not there
        os.makedirs(certs)
        shutil.copy(unknown.cert, os.path.join(certs, "ca.crt"))
        assert pull(d, "%s:%d/x" % (OWN, PORT)) is None
        assert mirror.asked and not any(mirror.shown)
    finally:
        shutil.rmtree(certs, ignore_errors=True)
        with open(config, "w") as f:
            f.write("{}")
        os.kill(d.process.pid, 1)
