"""Files in and out of containers: archive, `docker cp`, export, diff."""
import base64
import io
import json
import os
import subprocess
import tarfile
import threading
import time

import docker as docker_py
import pytest

from conftest import until


def tar_of(files):
    """A tar of {name: bytes | None (directory) | str (link) | TarInfo}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mtime = 1700000000
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size, entry.mode, entry.uid, entry.gid = len(content), 0o640, 1000, 1001
            tar.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def put(d, name, path, body, query=""):
    status, text, _ = d.api("PUT", "/containers/%s/archive?path=%s%s" % (name, path, query), body, {"Content-Type": "application/x-tar"}, timeout=60)
    return status, json.loads(text)["message"] if status != 200 else None


def get(d, name, path):
    status, text, headers = d.api("GET", "/containers/%s/archive?path=%s" % (name, path), timeout=60)
    if status != 200:
        return status, json.loads(text)["message"], None
    return 200, tarfile.open(fileobj=io.BytesIO(text)), json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"]))


def stat(d, name, path):
    status, _, headers = d.api("HEAD", "/containers/%s/archive?path=%s" % (name, path))
    return json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"])) if status == 200 else status


@pytest.fixture(params=["running", "created", "exited"])
def box(berthd, request):
    if request.param == "exited":
        berthd.docker("run", "--name", "box", "--network", "none", "busybox", "true")
    else:
        berthd.docker("run" if request.param == "running" else "create", *(["-d"] if request.param == "running" else []), "--name", "box",
                      "--network", "none", "busybox", "sleep", "1000")
    yield berthd
    berthd.docker("rm", "-f", "box")


def test_there_and_back(box):
    assert put(box, "box", "/tmp", tar_of({"d": None, "d/f": b"content", "d/l": "f", "long" * 40: b"long"})) == (200, None)
    status, tar, told = get(box, "box", "/tmp/d")
    assert status == 200 and tar.getnames() == ["d", "d/f", "d/l"]
    f = tar.getmember("d/f")
    assert (f.mode, f.uid, f.gid, f.mtime, tar.extractfile(f).read()) == (0o640, 1000, 1001, 1700000000, b"content")
    assert tar.getmember("d/l").linkname == "f"
    assert told["name"] == "d" and told["mode"] == 0x80000000 | 0o755
    assert stat(box, "box", "/tmp/d/f") == {"name": "f", "size": 7, "mode": 0o640, "mtime": "2023-11-14T22:13:20Z", "linkTarget": ""}
    link = stat(box, "box", "/tmp/d/l")
    assert link["mode"] & 1 << 27 and link["linkTarget"] == "/tmp/d/f"
    assert get(box, "box", "/tmp/d/l")[1].getmember("l").issym()
    assert get(box, "box", "/tmp/" + "long" * 40)[1].getnames() == ["long" * 40]
    assert box.docker("diff", "box").stdout.splitlines()[:3] == ["C /tmp", "A /tmp/d", "A /tmp/d/f"]


def test_what_is_not_there(box):
    cid = box.out("ps", "-aqf", "name=box", "--no-trunc")
    assert get(box, "box", "/no/such")[:2] == (404, "Could not find the file /no/such in container " + cid)
    assert stat(box, "box", "/no/such") == 404
    assert put(box, "box", "/no/such", tar_of({"x": b"x"})) == (404, "Could not find the file /no/such in container " + cid)
    assert put(box, "box", "/bin/busybox", tar_of({"x": b"x"})) == (400, "extraction point is not a directory")
    assert put(box, "box", "/tmp", b"this is no tar" * 100)[0] == 400
    assert get(box, "box", "")[:2] == (400, "bad parameter: 'path' cannot be empty")
    assert box.api("GET", "/containers/none/archive?path=/x")[0] == 404
    assert put(box, "box", "/tmp", tar_of({"../../x": b"x"}))[0] == 400
    assert get(box, "box", "/proc/self/environ")[0] == 404


def test_kinds_are_kept_when_asked(box):
    put(box, "box", "/tmp", tar_of({"dir": None, "dir/in": b"1", "file": b"2"}))
    assert put(box, "box", "/tmp", tar_of({"dir": b"now a file"}), "&noOverwriteDirNonDir=true") == (
        400, 'cannot overwrite directory "/tmp/dir" with non-directory "dir"')
    assert put(box, "box", "/tmp", tar_of({"file": None}), "&noOverwriteDirNonDir=1") == (
        400, 'cannot overwrite non-directory "/tmp/file" with directory "file"')
    assert put(box, "box", "/tmp", tar_of({"dir": b"now a file"})) == (200, None)
    assert get(box, "box", "/tmp/dir")[1].extractfile("dir").read() == b"now a file"


def test_links_resolve_inside(box):
    put(box, "box", "/", tar_of({"abs": "/tmp", "up": "../../../../tmp", "out": "/etc/hostname"}))
    assert put(box, "box", "/abs", tar_of({"one": b"1"})) == (200, None)
    assert put(box, "box", "/up/", tar_of({"two": b"2"})) == (200, None)
    assert sorted(get(box, "box", "/tmp/")[1].getnames())[:3] == ["tmp", "tmp/one", "tmp/two"]
    assert get(box, "box", "/abs/")[1].getnames() == ["abs", "abs/one", "abs/two"]
    assert get(box, "box", "/abs")[1].getmember("abs").linkname == "/tmp"
    assert put(box, "box", "/", tar_of({"lnk": "/tmp", "lnk/through": b"3"})) == (200, None)
    assert get(box, "box", "/tmp/through")[0] == 200


def test_compressed(box):
    plain = tar_of({"packed": b"yes"})
    for program in ("gzip", "bzip2", "xz", "zstd"):
        packed = subprocess.run([program, "-c"], input=plain, capture_output=True, check=True).stdout
        assert put(box, "box", "/tmp", packed) == (200, None), program
    assert get(box, "box", "/tmp/packed")[1].extractfile("packed").read() == b"yes"


def test_export(box):
    put(box, "box", "/", tar_of({"mark": b"here"}))
    status, text, _ = box.api("GET", "/containers/box/export", timeout=60)
    tar = tarfile.open(fileobj=io.BytesIO(text))
    assert status == 200 and tar.extractfile("mark").read() == b"here" and tar.getmember("bin/sh").issym()
    assert not [name for name in tar.getnames() if name.startswith("proc/")]


def test_big_ones_are_whole(box):
    body = tar_of({"big": os.urandom(30 << 20)})
    assert put(box, "box", "/tmp", body) == (200, None)
    tar = get(box, "box", "/tmp/big")[1]
    assert tar.extractfile("big").read() == tarfile.open(fileobj=io.BytesIO(body)).extractfile("big").read()


@pytest.mark.parametrize("binary", ["docker", os.environ.get("BERTH_DOCKER_20", "docker")], ids=["newest", "debian"])
def test_docker_cp(box, tmp_path, binary):
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_bytes(b"a" * 100000)
    (source / "sub" / "b").write_text("b")
    (source / "link").symlink_to("a")

    def cp(*words, **how):
        return box.docker("cp", *words, binary=binary, **how)

    cp(str(source), "box:/tmp/new")
    cp(str(source) + "/.", "box:/tmp")
    cp(str(source / "a"), "box:/tmp/renamed")
    cp("box:/tmp/new", str(tmp_path / "back"))
    assert (tmp_path / "back" / "a").read_bytes() == b"a" * 100000 and (tmp_path / "back" / "sub" / "b").read_text() == "b"
    assert os.readlink(tmp_path / "back" / "link") == "a"
    cp("-L", "box:/tmp/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_bytes() == b"a" * 100000
    out = cp("box:/tmp/renamed", "-", text=False).stdout
    assert tarfile.open(fileobj=io.BytesIO(out)).getnames() == ["renamed"]
    cp("-", "box:/tmp", input=tar_of({"piped": b"p"}), text=False)
    assert get(box, "box", "/tmp/piped")[0] == 200
    failed = cp("box:/none", str(tmp_path), check=False)
    assert failed.returncode == 1 and ("Could not find the file /none in container" in failed.stderr or "No such container:path: box:/none" in failed.stderr)


def test_python_client(box):
    client = docker_py.DockerClient(base_url="unix://" + box.socket)
    c = client.containers.get("box")
    assert c.put_archive("/tmp", tar_of({"py": b"x" * 1000}))
    stream, told = c.get_archive("/tmp/py")
    assert told["size"] == 1000 and tarfile.open(fileobj=io.BytesIO(b"".join(stream))).extractfile("py").read() == b"x" * 1000
    assert {"Path": "/tmp/py", "Kind": 1} in c.diff()
    assert b"".join(c.export())
    client.close()


def test_mounts_are_part_of_it(berthd, tmp_path):
    for state in ("create", "run"):
        berthd.docker(state, *(["-d"] if state == "run" else []), "--name", "mm", "--network", "none", "-v", "archvol:/data", "-v",
                      "%s:/host" % tmp_path, "-v", "%s:/shut:ro" % tmp_path, "--read-only", "busybox", "sleep", "1000")
        assert put(berthd, "mm", "/data", tar_of({"v": state.encode()})) == (200, None)
        assert put(berthd, "mm", "/host", tar_of({"h": b"h"})) == (200, None)
        assert (tmp_path / "h").read_bytes() == b"h"
        assert put(berthd, "mm", "/shut", tar_of({"h": b"h"})) == (400, "mounted volume is marked read-only")
        assert put(berthd, "mm", "/tmp", tar_of({"h": b"h"}))[1] in ("container rootfs is marked read-only", None) if state == "create" else True
        assert get(berthd, "mm", "/data/v")[1].extractfile("v").read() == state.encode()
        assert "host/h" in get(berthd, "mm", "/host")[1].getnames()
        berthd.docker("rm", "-f", "mm")
    mountpoint = berthd.out("volume", "inspect", "-f", "{{.Mountpoint}}", "archvol")
    assert open(os.path.join(mountpoint, "v")).read() == "run"
    berthd.docker("volume", "rm", "archvol")


def test_read_only_root_of_a_running_one(berthd):
    berthd.docker("run", "-d", "--name", "ro", "--network", "none", "--read-only", "busybox", "sleep", "1000")
    assert put(berthd, "ro", "/tmp", tar_of({"x": b"x"})) == (400, "container rootfs is marked read-only")
    assert get(berthd, "ro", "/bin/busybox")[0] == 200
    berthd.docker("rm", "-f", "ro")


def test_owners(berthd):
    berthd.docker("create", "--name", "own", "--user", "nobody", "busybox", "true")
    put(berthd, "own", "/tmp", tar_of({"theirs": b"x"}))
    put(berthd, "own", "/tmp", tar_of({"ours": b"x"}), "&copyUIDGID=true")
    assert get(berthd, "own", "/tmp/theirs")[1].getmember("theirs").uid == 1000
    assert get(berthd, "own", "/tmp/ours")[1].getmember("ours").uid == 65534
    berthd.docker("rm", "own")


def test_events(berthd):
    berthd.docker("create", "--name", "ev", "busybox", "true")
    since = time.time()
    put(berthd, "ev", "/tmp", tar_of({"x": b"x"}))
    get(berthd, "ev", "/tmp/x")
    berthd.api("GET", "/containers/ev/export")
    out = berthd.out("events", "--since", "%.3f" % since, "--until", "%.3f" % (time.time() + 1), "--format", "{{.Action}}")
    assert out.split() == ["extract-to-dir", "archive-path", "export"]
    berthd.docker("rm", "ev")


def test_diff_of_removed_and_changed(berthd):
    berthd.docker("run", "--name", "df", "--network", "none", "busybox", "sh", "-c", "rm /bin/wget; echo x >>/etc/passwd; mkdir /new; rm -r /home")
    lines = berthd.docker("diff", "df").stdout.splitlines()
    assert {"C /bin", "D /bin/wget", "C /etc", "C /etc/passwd", "A /new", "D /home"} <= set(lines)
    berthd.docker("create", "--name", "same", "busybox", "true")
    assert berthd.api("GET", "/containers/same/changes")[1].strip() == b"null"
    berthd.docker("rm", "df", "same")


def test_nothing_is_left_of_a_client_that_goes(berthd):
    berthd.docker("create", "--name", "gone", "busybox", "true")
    put(berthd, "gone", "/tmp", tar_of({"big": os.urandom(50 << 20)}))
    for _ in range(5):
        child = subprocess.Popen(["docker", "export", "gone"], env=berthd.env, stdout=subprocess.PIPE)
        child.stdout.read(1000)
        child.kill()
        child.wait()
        child.stdout.close()
    assert until(lambda: not [line for pid in filter(str.isdigit, os.listdir("/proc")) for line in [cmdline(pid)] if b"berth-archive" in line])
    berthd.docker("start", "-a", "gone")
    berthd.docker("rm", "gone")


def cmdline(pid):
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as f:
            return f.read()
    except OSError:
        return b""


def test_a_racer_gets_nothing_of_the_host(berthd, tmp_path):
    """S01, S03, S06, S07: a container swaps a directory and a link to the root while it is copied in and out."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_text("of the host")
    before = sorted(os.listdir(canary))
    berthd.docker("run", "-d", "--name", "race", "--network", "none", "busybox", "sh", "-c",
                  "mkdir -p /w/real%s; while :; do ln -sfn / /w/x; rm /w/x; mkdir /w/x; rmdir /w/x; done" % tmp_path)
    end = time.monotonic() + 6
    path = "/w/x%s/canary" % tmp_path
    while time.monotonic() < end:
        status, tar, _ = get(berthd, "race", path)
        assert status != 200 or not any(name.endswith("secret") for name in tar.getnames())
        put(berthd, "race", path, tar_of({"planted": b"evil", "secret": b"evil"}))
        put(berthd, "race", "/w/x", tar_of({"planted": b"evil"}))
    assert sorted(os.listdir(canary)) == before and (canary / "secret").read_text() == "of the host"
    assert not os.path.exists("/planted")
    berthd.docker("rm", "-f", "race")


def test_programs_of_the_container_are_not_run(berthd):
    """S05: decompression is ours, whatever lies at /usr/bin."""
    berthd.docker("create", "--name", "prog", "busybox", "true")
    script = b"#!/bin/sh\ntouch /tmp/canary-ran\n"
    put(berthd, "prog", "/", tar_of({"usr/bin/" + name: script for name in ("gzip", "xz", "unpigz", "zstd", "bzip2")}))
    packed = subprocess.run(["xz", "-c"], input=tar_of({"x": b"x"}), capture_output=True, check=True).stdout
    assert put(berthd, "prog", "/tmp", packed) == (200, None)
    assert get(berthd, "prog", "/tmp/canary-ran")[0] == 404 and not os.path.exists("/tmp/canary-ran")
    berthd.docker("rm", "prog")
