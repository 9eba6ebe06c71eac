"""The same through python3-docker's docker.from_env()."""
import io
import tarfile

import docker
import pytest


@pytest.fixture(scope="module")
def client(berthd):
    c = docker.DockerClient(base_url="unix://" + berthd.socket)
    yield c
    c.close()


def test_version(client):
    assert client.ping() is True
    assert client.version()["ApiVersion"] == "1.51"
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"


def test_run(client):
    assert client.containers.run("busybox", ["echo", "hi"], remove=True) == b"hi\n"


def test_run_reports_failure(client):
    with pytest.raises(docker.errors.ContainerError) as failure:
        client.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 3"], remove=True)
    assert failure.value.exit_status == 3 and failure.value.stderr == b"no\n"


def test_missing_image(client):
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nosuch")


def test_life(client):
    c = client.containers.run("busybox", ["sh", "-c", "echo one; sleep 100"], detach=True, name="py", labels={"a": "b"})
    assert c.status == "created" and client.containers.get("py").status == "running"
    assert c.exec_run(["echo", "in"]) == (0, b"in\n")
    assert c.exec_run("sh -c 'exit 7'").exit_code == 7
    assert [x.name for x in client.containers.list(filters={"label": "a=b"})] == ["py"]
    for line in c.logs(stream=True, follow=True):
        assert line == b"one\n"
        break
    c.stop(timeout=0)
    assert c.wait()["StatusCode"] == 137
    c.start()
    c.restart(timeout=0)
    c.kill()
    c.remove(force=True)
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("py")


def test_attach_socket(client):
    c = client.containers.create("busybox", ["cat"], stdin_open=True, tty=False)
    s = c.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    c.start()
    s._sock.sendall(b"through the socket\n")
    header = s.read(8)
    assert header[0] == 1
    assert s.read(int.from_bytes(header[4:], "big")) == b"through the socket\n"
    s.close()
    c.remove(force=True)


def layer():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        entry = tarfile.TarInfo("hello")
        entry.size = 5
        t.addfile(entry, io.BytesIO(b"world"))
    return out.getvalue()


def test_load_docker_archive(client):
    import hashlib
    import json

    data = layer()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/hello"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["made:1"], "Layers": ["l/layer.tar"]}]).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as t:
        for name, content in (("l/layer.tar", data), ("config.json", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            t.addfile(entry, io.BytesIO(content))
    images = client.images.load(archive.getvalue())
    assert [i.tags for i in images] == [["made:1"]]
    assert images[0].id == "sha256:" + hashlib.sha256(config).hexdigest()
    client.images.remove("made:1")


def test_load_refuses_a_wrong_digest(client):
    import json

    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}})
    manifest = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": ["layer.tar"]}])
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as t:
        for name, content in (("layer.tar", layer()), ("c.json", config.encode()), ("manifest.json", manifest.encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            t.addfile(entry, io.BytesIO(content))
    with pytest.raises((docker.errors.APIError, docker.errors.ImageLoadError)):
        client.images.load(archive.getvalue())


def test_events(client):
    import time

    since = int(time.time()) - 1
    client.containers.run("busybox", ["true"], remove=True)
    got = [e["Action"] for e in client.events(since=since, until=int(time.time()) + 1, decode=True) if e["Type"] == "container"]
    assert "start" in got and "die" in got
