"""A registry that lies: nothing of it becomes an image, nothing is left, credentials go nowhere else."""
import base64
import json
import os
import time

import pytest

from conftest import Daemon, until
from registry_rig import DOCKER, OCI, Image, Registry, busybox_files, digest

AUTH = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()
GOOD = Image([(busybox_files(), "gzip"), ({"two": b"2" * 5000}, "gzip")])


@pytest.fixture(scope="module")
def d():
    daemon = Daemon()
    try:
        daemon.start()
        yield daemon
        assert daemon.stop() == 0
        assert "Sanitizer" not in daemon.log_text() and "runtime error" not in daemon.log_text(), daemon.log_text()
        assert "secret" not in daemon.log_text()
    finally:
        daemon.clean()


@pytest.fixture
def evil(d):
    registry = Registry(d.netns)
    yield registry
    registry.close()


def pull(d, name, tag="latest", auth=None):
    status, text, _ = d.api("POST", "/images/create?fromImage=%s&tag=%s" % (name, tag),
                            headers={"X-Registry-Auth": auth} if auth else {}, timeout=120)
    lines = [json.loads(line) for line in text.decode().split("\n") if line.strip()]
    return lines[-1]["message"] if status != 200 else lines[-1].get("error")


def check_nothing_is_left(d):
    assert d.out("images", "-aq") == ""
    assert until(lambda: not os.listdir(os.path.join(d.data, "tmp")))
    assert until(lambda: os.listdir(os.path.join(d.data, "layers")) in ([], ["init"]))
    assert os.listdir(os.path.join(d.data, "blobs/sha256")) == []
    assert d.api("GET", "/_ping")[0] == 200


def changed(**parts):
    """The good image's manifest with other parts."""
    return json.dumps({**GOOD.parts, **parts}).encode()


def with_digest(text):
    return changed(layers=[{**GOOD.parts["layers"][0], "digest": text}])


MANIFESTS = {
    "path as digest": (with_digest("sha256:../../../../etc/passwd"), "invalid checksum digest format"),
    "upper case digest": (with_digest("sha256:" + "A" * 64), "invalid checksum digest format"),
    "63 digits": (with_digest("sha256:" + "a" * 63), "invalid checksum digest format"),
    "65 digits": (with_digest("sha256:" + "a" * 65), "invalid checksum digest format"),
    "md5": (with_digest("md5:" + "a" * 32), "invalid checksum digest format"),
    "empty digest": (with_digest(""), "invalid checksum digest format"),
    "digest of another type": (changed(layers=[{"digest": 5}]), "manifest"),
    "config with a path": (changed(config={"digest": "sha256:../x", "size": 1}), "invalid checksum digest format"),
    "no config": (json.dumps({k: v for k, v in GOOD.parts.items() if k != "config"}).encode(), "invalid checksum"),
    "manifest and index": (changed(manifests=[]), "either manifests or config and layers"),
    "index by its type": (changed(mediaType=OCI + "index.v1+json"), "not what its media type"),
    "another type inside": (changed(mediaType=OCI + "manifest.v1+json"), "says media type"),
    "schema 1": (json.dumps({"schemaVersion": 1, "fsLayers": []}).encode(), "schema 1 support has been removed"),
    "schema 7": (changed(schemaVersion=7), "unsupported manifest schema version 7"),
    "no JSON": (b"<html>hello</html>", "manifest"),
    "nothing": (b"", "manifest"),
    "negative size": (changed(layers=[{**GOOD.parts["layers"][0], "size": -1}]), "invalid size"),
    "200 layers": (changed(layers=GOOD.parts["layers"] * 100), "max depth exceeded"),
    "fewer layers": (changed(layers=GOOD.parts["layers"][:1]), "layers from manifest don't match image configuration"),
    "layers swapped": (changed(layers=GOOD.parts["layers"][::-1]), "layers from manifest don't match image configuration"),
    "a layer elsewhere": (changed(layers=[{**GOOD.parts["layers"][0], "urls": ["http://127.0.0.1:5001/evil"]}]), "outside the registry"),
    "a foreign layer": (changed(layers=[{**GOOD.parts["layers"][0], "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"}]),
                        "outside the registry"),
    "a layer of another size": (changed(layers=[{**GOOD.parts["layers"][0], "size": 10}, GOOD.parts["layers"][1]]), "longer than its manifest says"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_manifests(d, evil, case):
    body, words = MANIFESTS[case]
    evil.hold(GOOD)
    evil.manifests["latest"] = (body, DOCKER + "v2+json")
    message = pull(d, evil.name + "/x")
    assert message and words in message, message
    assert not any("evil" in path for _, path, _ in evil.asked)
    check_nothing_is_left(d)


def test_a_manifest_without_end(d, evil):
    """4 MiB and not a byte more of memory, and a configuration is no larger than 8."""
    def endless(handler, path):
        if "/manifests/" not in path and "/blobs/" not in path:
            return False
        if "/manifests/" in path and not path.endswith("endless"):
            return False
        handler.send_response(200)
        handler.send_header("Content-Type", DOCKER + "v2+json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            for _ in range(2000):
                handler.wfile.write(b" " * (1 << 16))
        except OSError:
            pass
        handler.close_connection = True
        return True

    evil.hold(GOOD)
    evil.lie = endless
    assert "larger than 4194304 bytes" in pull(d, evil.name + "/x", "endless")
    assert "larger than 8388608 bytes" in pull(d, evil.name + "/x")
    check_nothing_is_left(d)


def test_contents_that_are_not_what_they_are_called(d, evil):
    evil.hold(GOOD)
    config, first = GOOD.id, GOOD.parts["layers"][0]["digest"]
    evil.blobs[config] = GOOD.config.replace(b"amd64", b"arm64")
    assert "image config verification failed" in pull(d, evil.name + "/x")
    evil.blobs[config] = GOOD.config
    other = Image([({"x": os.urandom(len(GOOD.blobs[first]) - 600)}, None)])
    evil.blobs[first] = list(other.blobs.values())[0][:len(GOOD.blobs[first])].ljust(len(GOOD.blobs[first]), b"\0")
    message = pull(d, evil.name + "/x")
    assert "verification failed" in message or "not a tar" in message or "EOF" in message, message
    evil.blobs[first] = GOOD.blobs[first][:-1] + bytes([GOOD.blobs[first][-1] ^ 1])
    assert pull(d, evil.name + "/x")
    evil.manifests[digest(GOOD.manifest)] = (changed(extra=1), GOOD.media_type)
    assert "manifest verification failed" in pull(d, evil.name + "/x", digest(GOOD.manifest))
    check_nothing_is_left(d)


def test_indexes(d, evil):
    """An index of itself, of indexes, of too many."""
    media = OCI + "index.v1+json"

    def index(entries):
        return json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": entries}).encode()

    def entry(body):
        return {"mediaType": media, "size": len(body), "digest": digest(body), "platform": {"architecture": "amd64", "os": "linux"}}

    body = GOOD.manifest
    evil.hold(GOOD)
    chain = [body]
    for _ in range(5):
        chain.append(index([entry(chain[-1])]))
        evil.manifests[digest(chain[-1])] = (chain[-1], media)
    evil.manifests["latest"] = (chain[-1], media)
    assert "indexes lie too deep" in pull(d, evil.name + "/x")
    evil.manifests["many"] = (index([entry(body)] * 1001), media)
    assert "more than 1000 manifests" in pull(d, evil.name + "/x", "many")
    evil.manifests["none"] = (index([]), media)
    assert "no matching manifest" in pull(d, evil.name + "/x", "none")
    evil.manifests["odd"] = (index([{"digest": "sha256:%064d" % 0, "size": 3, "platform": None}, {"digest": "x", "subject": {"digest": 7}}]), media)
    assert pull(d, evil.name + "/x", "odd")
    check_nothing_is_left(d)


def test_configurations(d, evil):
    cases = [(b"null", "image configuration"), (b"[]", "image configuration"), (b"{}", "layers from manifest"),
             (GOOD.config.replace(b'"linux"', b'"windows"'), "operating system is not supported"),
             (GOOD.config.replace(b"sha256:", b"sha256:../", 1), "invalid diff id"),
             (GOOD.config[:-1], "image configuration")]
    for body, words in cases:
        evil.hold(GOOD)
        evil.blobs[digest(body)] = body
        evil.manifests["latest"] = (changed(config={"digest": digest(body), "size": len(body)}), GOOD.media_type)
        message = pull(d, evil.name + "/x")
        assert message and words in message, (body[:80], message)
    check_nothing_is_left(d)


def test_odd_histories_do_no_harm(d, evil):
    for history in ("null", "[null]", "[{}]", '[{"created_by":"x"},{"empty_layer":true},{"empty_layer":true},{"created":"never"}]'):
        config = json.loads(GOOD.config)
        config["history"] = json.loads(history)
        body = json.dumps(config).encode()
        evil.hold(GOOD)
        evil.blobs[digest(body)] = body
        evil.manifests["latest"] = (changed(config={"digest": digest(body), "size": len(body)}), GOOD.media_type)
        assert pull(d, evil.name + "/x") is None
        assert d.api("GET", "/images/%s/x/history" % evil.name)[0] == 200
        d.docker("rmi", evil.name + "/x")
    check_nothing_is_left(d)


def challenge(realm):
    def lie(handler, path):
        if path.startswith("/v2/") and "Authorization" not in handler.headers:
            handler.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Bearer realm="%s",service="s"' % realm)
            return True
        if path.startswith("/token"):
            handler.answer(200, b'{"token":"t"}')
            return True
        return False
    return lie


def test_a_token_server_of_another_site_gets_no_password(d, evil):
    """S83: the realm names a stranger."""
    d.in_netns("ip", "addr", "add", "127.0.0.2/8", "dev", "lo", check=False, stderr=-3)
    stranger = Registry(d.netns, 5001, "127.0.0.2")
    try:
        stranger.lie = lambda handler, path: handler.answer(200, b'{"token":"t"}') or True
        evil.hold(GOOD)
        evil.lie = challenge("http://127.0.0.2:5001/token")
        assert pull(d, evil.name + "/x", auth=AUTH) is None
        assert stranger.asked and all("Authorization" not in headers for _, _, headers in stranger.asked)
        d.docker("rmi", evil.name + "/x")
    finally:
        stranger.close()
    check_nothing_is_left(d)


def test_realms_that_are_none(d, evil):
    evil.hold(GOOD)
    for realm in ("file:///etc/passwd", "gopher://127.0.0.1:5001/", "", "/token", "http://", "http://127.0.0.1:9/token"):
        evil.lie = challenge(realm)
        assert pull(d, evil.name + "/x", auth=AUTH)
    evil.lie = lambda handler, path: handler.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate="Nonsense") or True
    assert "unauthorized" in pull(d, evil.name + "/x", auth=AUTH)
    check_nothing_is_left(d)


def test_a_401_without_end(d, evil):
    def always(handler, path):
        if path.startswith("/token"):
            handler.answer(200, b'{"token":"t"}')
        else:
            handler.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Bearer realm="http://%s/token"' % evil.name)
        return True

    evil.lie = always
    assert "unauthorized" in pull(d, evil.name + "/x", auth=AUTH)
    assert len(evil.asked) < 10
    check_nothing_is_left(d)


def test_tokens_that_are_none(d, evil):
    evil.hold(GOOD)
    for answer in (b"", b"{}", b'{"token":""}', b"[" * 200, b'{"token":"a\\r\\nX-Evil: 1"}', b'{"token":7}'):
        def lie(handler, path):
            if path.startswith("/token"):
                handler.answer(200, answer)
                return True
            if "Authorization" in handler.headers:
                return False
            handler.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Bearer realm="http://%s/token"' % evil.name)
            return True
        evil.lie = lie
        assert pull(d, evil.name + "/x"), answer
    assert not any("X-Evil" in headers for _, _, headers in evil.asked)
    check_nothing_is_left(d)


def test_redirects_carry_no_authority(d, evil):
    """S84: blobs lie on another origin; it is asked without Authorization, and loops end."""
    store = Registry(d.netns, 5006)
    try:
        evil.hold(GOOD)
        store.hold(GOOD)

        def lie(handler, path):
            if "Authorization" not in handler.headers:
                handler.refuse(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate="Basic realm=x")
            elif "/blobs/" in path:
                handler.answer(307, b"", Location="http://%s%s?signature=abc" % (store.name, path))
            else:
                return False
            return True

        evil.lie = lie
        assert pull(d, evil.name + "/x", auth=AUTH) is None
        assert evil.asked[-1][2]["Authorization"] == BASIC
        assert store.asked and all("Authorization" not in headers for _, _, headers in store.asked)
        d.docker("rmi", evil.name + "/x")
        evil.lie = lambda handler, path: "/blobs/" in path and (handler.answer(302, b"", Location=path) or True)
        assert "redirects too often" in pull(d, evil.name + "/x")
        for target in ("file:///etc/passwd", "ftp://127.0.0.1/x", "//", "http://"):
            evil.lie = lambda handler, path: "/blobs/" in path and (handler.answer(302, b"", Location=target) or True)
            assert pull(d, evil.name + "/x")
    finally:
        store.close()
    check_nothing_is_left(d)


def test_too_many_requests(d, evil):
    evil.hold(GOOD)
    asked = []

    def busy(handler, path):
        asked.append(time.monotonic())
        if len(asked) > 2:
            return False
        handler.refuse(429, "TOOMANYREQUESTS", "slow down", Retry_After="1")
        return True

    evil.lie = busy
    assert pull(d, evil.name + "/x") is None
    assert asked[1] - asked[0] >= 0.9
    d.docker("rmi", evil.name + "/x")
    evil.lie = lambda handler, path: handler.refuse(429, "TOOMANYREQUESTS", "You have reached your pull rate limit", Retry_After="100000") or True
    assert pull(d, evil.name + "/x") == "toomanyrequests: You have reached your pull rate limit"
    check_nothing_is_left(d)


def test_a_server_that_fails(d, evil):
    evil.lie = lambda handler, path: handler.answer(500, b"<h1>oops</h1>", "text/html") or True
    assert pull(d, evil.name + "/x") == "received unexpected HTTP status: 500 Internal Server Error"
    evil.lie = lambda handler, path: handler.refuse(403, "DENIED", "requested access to the resource is denied") or True
    assert pull(d, evil.name + "/x") == ("pull access denied for %s/x, repository does not exist or may require 'docker login': "
                                         "denied: requested access to the resource is denied" % evil.name)
    check_nothing_is_left(d)


def test_the_same_layer_many_times(d, evil):
    """S91: no lock, no end of it; and the image is right."""
    files = {"same": b"same"}
    image = Image([(busybox_files(), "gzip")] + [(files, "gzip")] * 100)
    evil.hold(image)
    assert pull(d, evil.name + "/x") is None
    assert d.out("run", "--rm", "--network", "none", evil.name + "/x", "cat", "/same") == "same"
    d.docker("rmi", evil.name + "/x")
    check_nothing_is_left(d)
