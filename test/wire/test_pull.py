"""Pulling: from Debian's docker-registry, and from one of our own for what that one does not do."""
import base64
import crypt
import json
import os
import subprocess
import threading
import time

import docker as docker_py
import pytest

from conftest import Daemon, check_clean, until
from registry_rig import DebianRegistry, Image, Registry, busybox_files, digest, write_layout


@pytest.fixture(scope="module")
def rig(request, tmp_path_factory):
    d = Daemon()
    failed_before = request.session.testsfailed
    registry = None
    try:
        d.start()
        registry = DebianRegistry(d, str(tmp_path_factory.mktemp("registry")))
        yield d, registry
        ids = d.out("ps", "-aq", "--no-trunc").split()
        if ids:
            d.docker("rm", "-f", *ids)
        check_clean(d)
    finally:
        if request.session.testsfailed > failed_before:
            print(d.log_text()[-8000:])
        if registry:
            registry.close()
        d.clean()


@pytest.fixture
def own(rig):
    """A registry of our own, on its own port."""
    registry = Registry(rig[0].netns)
    yield registry
    registry.close()


def forget(d):
    for line in set(d.out("images", "-aq", "--no-trunc").split()):
        d.docker("rmi", "-f", line)


def pull(d, name, tag="latest", auth=None, query=""):
    """The messages of a pull by the API; or (status, message) of an error before the first."""
    headers = {"X-Registry-Auth": auth} if auth is not None else {}
    status, text, _ = d.api("POST", "/images/create?fromImage=%s&tag=%s%s" % (name, tag, query), headers=headers, timeout=120)
    if status != 200:
        return status, json.loads(text)["message"]
    return [json.loads(line) for line in text.decode().split("\r\n") if line]


def problem(answer):
    """What a pull ended with, wherever it was told; None: it worked."""
    if isinstance(answer, tuple):
        return answer[1]
    return answer[-1].get("error")


def push(registry, tmp_path, image, name):
    folder = str(tmp_path / "layout")
    write_layout(folder, image)
    done = registry.skopeo("copy", "--dest-tls-verify=false", "oci:%s" % folder, "docker://%s/%s" % (registry.name, name), check=False)
    assert done.returncode == 0, done.stderr


def test_docker_pull_and_run(rig, tmp_path):
    d, registry = rig
    image = Image([(busybox_files(), "gzip"), ({"etc": None, "etc/two": b"second\n"}, "gzip")], oci=True)
    push(registry, tmp_path, image, "team/app:1")
    name = registry.name + "/team/app"
    out = d.out("pull", name + ":1")
    inspected = json.loads(registry.skopeo("inspect", "--tls-verify=false", "docker://%s:1" % name).stdout)
    assert "Digest: " + inspected["Digest"] in out and "Downloaded newer image for %s:1" % name in out
    assert d.out("run", "--rm", "--network", "none", name + ":1", "cat", "/etc/two") == "second"
    shown = json.loads(d.out("inspect", name + ":1"))[0]
    assert shown["Id"] == image.id
    assert shown["RepoDigests"] == ["%s@%s" % (name, inspected["Digest"])]
    assert shown["RootFS"]["Layers"] == json.loads(image.config)["rootfs"]["diff_ids"]
    assert "Image is up to date" in d.out("pull", name + ":1")
    by_digest = "%s@%s" % (name, inspected["Digest"])
    assert "Image is up to date" in d.out("pull", by_digest)
    assert by_digest.split("@")[1] in d.out("images", "--digests")
    out = d.out("rmi", name + ":1")
    assert "Untagged: %s:1" % name in out and "Untagged: " + by_digest in out and "Deleted: " + image.id in out
    assert d.out("images", "-q") == ""


def test_run_pulls_what_is_not_there(rig, tmp_path):
    d, registry = rig
    push(registry, tmp_path, Image([(busybox_files(), "gzip")]), "auto")
    done = d.docker("run", "--rm", "--network", "none", registry.name + "/auto", "echo", "pulled")
    assert done.stdout == "pulled\n" and "Unable to find image" in done.stderr
    client = docker_py.DockerClient(base_url="unix://" + d.socket)
    d.docker("rmi", registry.name + "/auto")
    pulled = client.images.pull(registry.name + "/auto", tag="latest")
    assert pulled.tags == [registry.name + "/auto:latest"]
    client.close()
    forget(d)


def test_the_messages_of_a_pull(rig, own):
    d, _ = rig
    image = Image([(busybox_files(), "gzip"), ({"a": b"x" * 100000}, "gzip")])
    own.hold(image)
    since = time.time()
    got = pull(d, own.name + "/lib/app")
    ids = [entry["digest"][7:19] for entry in image.parts["layers"]]
    assert got[0] == {"status": "Pulling from lib/app", "id": "latest"}
    for layer_id in ids:
        words = [m["status"] for m in got if m.get("id") == layer_id]
        assert words[0] == "Pulling fs layer" and words[-2:] == ["Download complete", "Pull complete"]
    assert got[-2:] == [{"status": "Digest: " + digest(image.manifest)},
                        {"status": "Status: Downloaded newer image for %s/lib/app:latest" % own.name}]
    events = d.out("events", "--since", "%.3f" % since, "--until", "%.3f" % (time.time() + 1), "--filter", "type=image", "--format", "{{json .}}")
    pulled = [json.loads(line) for line in events.splitlines()]
    assert [(e["Action"], e["id"], e["Actor"]["Attributes"]["name"]) for e in pulled] == [
        ("pull", own.name + "/lib/app:latest", own.name + "/lib/app")]
    # a second image on the same base has only its own layer to bring
    own.hold(Image([(busybox_files(), "gzip"), ({"b": b"other"}, "gzip")]), "two")
    words = [(m.get("id"), m["status"]) for m in pull(d, own.name + "/lib/app", "two")]
    assert (ids[0], "Already exists") in words
    forget(d)


@pytest.mark.parametrize("compress", ["gzip", "zstd", None])
def test_every_compression(rig, own, compress):
    d, _ = rig
    own.hold(Image([(busybox_files(), compress)], oci=True))
    assert problem(pull(d, own.name + "/c")) is None
    assert d.out("run", "--rm", "--network", "none", own.name + "/c", "echo", "hi") == "hi"
    forget(d)


def test_platforms(rig, own):
    d, _ = rig
    images = [Image([({"which": which.encode()}, "gzip")], architecture=a, variant=v)
              for which, a, v in (("amd64", "amd64", None), ("arm64", "arm64", None), ("v6", "arm", "v6"), ("v7", "arm", "v7"))]
    whole = own.hold_index(images)

    def pulled(query=""):
        got = pull(d, own.name + "/multi", query=query)
        assert problem(got) is None, got
        assert {"status": "Digest: " + whole} in got
        return json.loads(d.out("inspect", own.name + "/multi"))[0]

    assert pulled()["Id"] == images[0].id
    assert pulled("&platform=linux/arm64")["Id"] == images[1].id
    assert pulled("&platform=linux/arm/v6")["Id"] == images[2].id
    assert pulled("&platform=linux/arm/v7")["Id"] == images[3].id
    assert pulled("&platform=linux/arm")["Id"] == images[3].id
    status, message = pull(d, own.name + "/multi", query="&platform=linux/s390x")
    assert status == 404 and "no matching manifest for linux/s390x in the manifest list entries" in message
    status, message = pull(d, own.name + "/multi", query="&platform=a/b/c/d")
    assert status == 400 and "unknown operating system or architecture" in message
    forget(d)


def test_an_image_of_twenty_layers_some_at_once(rig, own):
    d, _ = rig
    image = Image([(busybox_files(), "gzip")] + [({"n": b"%d" % i, "f%d" % i: os.urandom(20000)}, "gzip") for i in range(19)])
    own.hold(image)
    running, most, lock = [0], [0], threading.Lock()

    def slow(handler, path):
        if "/blobs/" not in path or path.endswith(image.id):
            return False
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05)
        registry_answer(own, handler)
        with lock:
            running[0] -= 1
        return True

    own.lie = slow
    assert problem(pull(d, own.name + "/many")) is None
    assert most[0] == 3
    assert d.out("run", "--rm", "--network", "none", own.name + "/many", "cat", "/n") == "18"
    forget(d)


def registry_answer(registry, handler):
    registry.serve(handler)


def test_the_same_pull_of_several_clients_is_one(rig, own):
    d, _ = rig
    image = Image([(busybox_files(), "gzip")])
    own.hold(image)

    def slow(handler, path):
        if "/blobs/" in path:
            time.sleep(0.5)
        return False

    own.lie = slow
    got, threads = [], [threading.Thread(target=lambda: got.append(pull(d, own.name + "/shared"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [problem(answer) for answer in got] == [None] * 5
    asked = [path for _, path, _ in own.asked if "/blobs/" in path]
    assert len(asked) == len(set(asked)) == 2
    forget(d)


def test_unknown_names_and_words(rig):
    d, registry = rig
    assert pull(d, registry.name + "/none/such", "x") == (
        404, "manifest for %s/none/such:x not found: manifest unknown: manifest unknown" % registry.name)
    assert pull(d, "UPPER") == (400, "invalid reference format: repository name (library/UPPER) must be lowercase")
    assert pull(d, registry.name + "/x", "not/a/tag")[0] == 400
    status, message = pull(d, "127.0.0.1:9/x")
    assert status == 500 and "127.0.0.1:9" in message
    assert d.api("POST", "/images/create?fromImage=%s/app" % registry.name)[0] == 501


def test_a_password(rig, tmp_path):
    d, _ = rig
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text("me:%s\n" % crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))
    registry = DebianRegistry(d, str(tmp_path / "private"), port=5002,
                              more="auth:\n  htpasswd: {realm: test, path: %s}\n" % htpasswd)
    try:
        image = Image([(busybox_files(), "gzip")])
        folder = str(tmp_path / "layout")
        write_layout(folder, image)
        registry.skopeo("copy", "--dest-tls-verify=false", "--dest-creds", "me:secret", "oci:%s" % folder,
                        "docker://%s/mine" % registry.name)
        right = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
        wrong = base64.urlsafe_b64encode(json.dumps({"username": "me", "password": "no"}).encode()).decode()
        for auth in (None, wrong, "", "e30=", "&garbage"):
            status, message = pull(d, registry.name + "/mine", auth=auth)
            assert status == 500 and "unauthorized: authentication required" in message, (auth, message)
        for auth in (right, right.rstrip("=")):
            assert problem(pull(d, registry.name + "/mine", auth=auth)) is None
        d.docker("rmi", registry.name + "/mine")
        assert "Login Succeeded" in d.docker("login", "-u", "me", "--password-stdin", registry.name, input="secret").stdout
        refused = d.docker("login", "-u", "me", "--password-stdin", registry.name, input="wrong", check=False)
        assert refused.returncode == 1 and "unauthorized" in refused.stderr
        assert d.docker("pull", registry.name + "/mine").returncode == 0  # with what login kept
        d.docker("rmi", registry.name + "/mine")
        assert "secret" not in d.log_text() and right not in d.log_text()
    finally:
        registry.close()
    forget(d)


def token_registry(own, image, user=None):
    """Blobs and manifests want a token; the token server is the registry itself."""
    own.hold(image)

    def lie(handler, path):
        if path.startswith("/token"):
            given = handler.headers.get("Authorization", "")
            if user and given != "Basic " + base64.b64encode(user.encode()).decode():
                handler.refuse(401, "UNAUTHORIZED", "authentication required")
            else:
                handler.answer(200, json.dumps({"token": "the-token"}).encode())
            return True
        if handler.headers.get("Authorization") == "Bearer the-token":
            return False
        handler.refuse(401, "UNAUTHORIZED", "authentication required",
                       WWW_Authenticate='Bearer realm="http://%s/token",service="reg, istry",scope="repository:t:pull"' % own.name)
        return True

    own.lie = lie


def test_a_token(rig, own):
    d, _ = rig
    token_registry(own, Image([(busybox_files(), "gzip")]))
    assert problem(pull(d, own.name + "/t")) is None
    asked = [path for _, path, _ in own.asked if path.startswith("/token")]
    assert asked == ["/token?service=reg%2C%20istry&scope=repository%3At%3Apull"]
    forget(d)


def test_a_token_for_a_name_and_password(rig, own):
    d, _ = rig
    token_registry(own, Image([(busybox_files(), "gzip")]), user="me:secret")
    right = base64.b64encode(json.dumps({"username": "me", "password": "secret"}).encode()).decode()
    assert "unauthorized" in problem(pull(d, own.name + "/t"))
    assert problem(pull(d, own.name + "/t", auth=right)) is None
    forget(d)


def test_tls(rig, tmp_path):
    """A registry that is not loopback needs a certificate that is known; certs.d names the authority."""
    d, _ = rig
    d.in_netns("ip", "addr", "add", "10.99.0.1/32", "dev", "lo")
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=r",
                    "-addext", "subjectAltName=IP:10.99.0.1"], check=True, capture_output=True)
    registry = DebianRegistry(d, str(tmp_path / "tls"), port=5003, address="10.99.0.1",
                              more="  tls: {certificate: %s, key: %s}\n" % (cert, key))
    try:
        folder = str(tmp_path / "layout")
        write_layout(folder, Image([(busybox_files(), "gzip")]))
        registry.skopeo("copy", "--dest-tls-verify=false", "oci:%s" % folder, "docker://%s/s" % registry.name)
        status, message = pull(d, registry.name + "/s")
        assert status == 500 and "certificate" in message
        certs = os.path.join(d.root, "certs.d", registry.name)
        os.makedirs(certs)
        with open(cert) as f, open(os.path.join(certs, "ca.crt"), "w") as to:
            to.write(f.read())
        assert problem(pull(d, registry.name + "/s")) is None
        with open(os.path.join(certs, "client.cert"), "w") as to:
            to.write("x")
        status, message = pull(d, registry.name + "/s")
        assert status == 400 and "missing key client.key for client certificate client.cert" in message
    finally:
        registry.close()
        d.in_netns("ip", "addr", "del", "10.99.0.1/32", "dev", "lo")
    forget(d)


def test_mirrors(rig, own, fresh):
    """A mirror that is dead or has it not is passed over; one that has it is enough."""
    config = {"registry-mirrors": {own.name: ["http://127.0.0.1:9", "http://127.0.0.1:5005"]}}
    with open(os.path.join(fresh.root, "daemon.json"), "w") as f:
        json.dump(config, f)
    fresh.start()
    origin, mirror = Registry(fresh.netns, int(own.name.split(":")[1])), Registry(fresh.netns, 5005)
    try:
        image = Image([(busybox_files(), "gzip")])
        auth = base64.b64encode(b'{"username":"me","password":"secret"}').decode()
        origin.hold(image)
        assert problem(pull(fresh, own.name + "/m", auth=auth)) is None
        assert any("/blobs/" in path for _, path, _ in origin.asked)
        fresh.docker("rmi", own.name + "/m")
        origin.asked.clear()
        mirror.hold(image)
        assert problem(pull(fresh, own.name + "/m", auth=auth)) is None
        assert not origin.asked
        assert not any("Authorization" in headers for _, _, headers in mirror.asked)
        fresh.docker("rmi", own.name + "/m")
    finally:
        origin.close()
        mirror.close()


def test_a_cut_download_goes_on_where_it_broke(rig, own):
    d, _ = rig
    image = Image([({"big": os.urandom(3000000)}, None)])
    own.hold(image)
    blob = image.parts["layers"][0]["digest"]
    cuts = []

    def cut(handler, path):
        if not path.endswith(blob) or len(cuts) == 2:
            return False
        body = own.blobs[blob]
        begin = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        cuts.append(begin)
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(body) - begin))
        handler.end_headers()
        handler.wfile.write(body[begin:begin + 1000000])
        handler.close_connection = True
        return True

    own.lie = cut
    got = pull(d, own.name + "/cut")
    assert problem(got) is None
    assert cuts == [0, 1000000]
    assert [h.get("Range") for _, path, h in own.asked if path.endswith(blob)] == [None, "bytes=1000000-", "bytes=2000000-"]
    assert "Retrying in 1 second" in [m["status"] for m in got]
    forget(d)


def test_a_client_that_goes_ends_its_pull(rig, own):
    d, _ = rig
    image = Image([({"big": os.urandom(2000000)}, None)])
    own.hold(image)
    gone = threading.Event()

    def trickle(handler, path):
        if "/blobs/" not in path or path.endswith(image.id):
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "2000000")
        handler.end_headers()
        try:
            for _ in range(600):
                handler.wfile.write(b"x" * 1000)
                time.sleep(0.05)
        except OSError:
            gone.set()
        return True

    own.lie = trickle
    child = subprocess.Popen(["docker", "pull", own.name + "/slow"], env=d.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert until(lambda: any("/blobs/" in path and not path.endswith(image.id) for _, path, _ in own.asked))
    time.sleep(0.2)
    child.kill()
    child.wait()
    assert gone.wait(10)
    assert until(lambda: not os.listdir(os.path.join(d.data, "tmp")))
    own.lie = None
    assert problem(pull(d, own.name + "/slow")) is None
    forget(d)


def test_killed_in_the_middle(fresh):
    """kill -9 while layers come: after the start there is neither an image nor a byte of it, and the next pull works."""
    fresh.start()
    registry = Registry(fresh.netns)
    try:
        image = Image([(busybox_files(), "gzip"), ({"big": os.urandom(2000000)}, None)])
        registry.hold(image)
        registry.lie = lambda handler, path: time.sleep(3) if path.endswith(image.parts["layers"][1]["digest"]) else False
        thread = threading.Thread(target=lambda: subprocess.run(["docker", "pull", "-q", registry.name + "/k"], env=fresh.env, capture_output=True))
        thread.start()
        assert until(lambda: any(path.endswith(image.parts["layers"][1]["digest"]) for _, path, _ in registry.asked))
        fresh.kill9()
        thread.join()
        fresh.start()
        assert fresh.out("images", "-q") == ""
        assert until(lambda: not os.listdir(os.path.join(fresh.data, "tmp")))
        assert until(lambda: os.listdir(os.path.join(fresh.data, "layers")) in ([], ["init"]))
        registry.lie = None
        fresh.docker("pull", "-q", registry.name + "/k")
        fresh.docker("rmi", registry.name + "/k")
    finally:
        registry.close()


def test_what_a_registry_says(rig, own):
    d, _ = rig
    image = Image([({"a": b"a"}, "gzip")])
    own.hold(image)
    status, answer = d.json("GET", "/distribution/%s/x/json" % own.name)
    assert (status, answer) == (200, {"Descriptor": {"mediaType": image.media_type, "digest": digest(image.manifest), "size": len(image.manifest)},
                                      "Platforms": [{"architecture": "amd64", "os": "linux"}]})
    whole = own.hold_index([image, Image([({"a": b"a"}, "gzip")], architecture="arm64", variant="v8")], "multi")
    answer = d.json("GET", "/distribution/%s/x:multi/json" % own.name)[1]
    assert answer["Descriptor"]["digest"] == whole
    assert answer["Platforms"] == [{"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux", "variant": "v8"}]
    assert d.json("GET", "/distribution/%s/x:none/json" % own.name)[0] == 404
    assert d.json("GET", "/distribution/UPPER/json")[0] == 400
