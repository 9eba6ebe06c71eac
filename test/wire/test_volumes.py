"""Volumes: the routes, what containers do to them, what fills them, and what is left after a kill."""
import concurrent.futures
import json
import os
import subprocess
import time

import docker as docker_py
import pytest

from conftest import check_clean, until
from volume_rig import inspect, make_image, volumes


def test_create_list_inspect_remove(berthd):
    d = berthd
    status, made = d.json("POST", "/volumes/create", {"Name": "first", "Labels": {"a": "b"}})
    assert status == 201
    assert made["Name"] == "first" and made["Driver"] == "local" and made["Scope"] == "local"
    assert made["Labels"] == {"a": "b"} and made["Options"] is None and "UsageData" not in made
    assert made["Mountpoint"] == d.data + "/volumes/first/_data" and os.path.isdir(made["Mountpoint"])
    assert made["CreatedAt"].endswith("Z") and "." not in made["CreatedAt"]
    assert d.json("POST", "/volumes/create", {"Name": "first", "Labels": {"c": "d"}}) == (201, made)
    assert d.json("GET", "/volumes/first") == (200, made)
    status, answer = d.json("GET", "/volumes")
    assert status == 200 and made in answer["Volumes"] and answer["Warnings"] is None
    assert d.api("DELETE", "/volumes/first")[0] == 204
    assert not os.path.exists(d.data + "/volumes/first")
    assert d.json("GET", "/volumes/first") == (404, {"message": "get first: no such volume"})
    assert d.json("DELETE", "/volumes/first") == (404, {"message": "get first: no such volume"})
    assert d.api("DELETE", "/volumes/first?force=1")[0] == 204
    status, random = d.json("POST", "/volumes/create", {})
    assert status == 201 and len(random["Name"]) == 64 and "com.docker.volume.anonymous" in random["Labels"]
    d.docker("volume", "rm", random["Name"])


@pytest.mark.parametrize("body, status, words", [
    ({"Name": "b"}, 400, "create b: volume name is too short, names should be at least two alphanumeric characters"),
    ({"Name": "b/../c"}, 400, 'create b/../c: "b/../c" includes invalid characters for a local volume name, only '
     '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'),
    ({"Name": "bb", "Driver": "nope"}, 404, 'create bb: error looking up volume plugin nope: plugin "nope" not found'),
    ({"Name": "bb", "DriverOpts": {"type": "tmpfs"}}, 400, 'create bb: missing required option: "device"'),
    ({"Name": "bb", "DriverOpts": {"o": "x"}}, 400, 'create bb: missing required option: "device"'),
    ({"Name": "bb", "DriverOpts": {"device": "x"}}, 400, 'create bb: missing required option: "type"'),
    ({"Name": "bb", "DriverOpts": {"foo": "x"}}, 400, 'create bb: invalid option: "foo"'),
    ({"Name": "bb", "DriverOpts": {"size": "1g"}}, 400, "create bb: quota size requested but no quota support"),
])
def test_refused_volumes(berthd, body, status, words):
    assert berthd.json("POST", "/volumes/create", body) == (status, {"message": words})
    assert not os.path.exists(berthd.data + "/volumes/bb")


def test_list_filters(berthd):
    d = berthd
    d.docker("volume", "create", "--label", "k=v", "held")
    d.docker("volume", "create", "idle")
    d.docker("create", "--name", "holder", "-v", "held:/x", "busybox")

    def names(*filters):
        return set(d.out("volume", "ls", "-q", *[w for f in filters for w in ("-f", f)]).split())

    assert names("dangling=true") & {"held", "idle"} == {"idle"}
    assert names("dangling=false") & {"held", "idle"} == {"held"}
    assert names("label=k") == names("label=k=v") == {"held"} and not names("label=k=w")
    assert names("name=hel") == {"held"} and names("name=^idle$") == {"idle"}
    assert {"held", "idle"} <= names("driver=local") and not names("driver=other")
    for text, words in (('{"foo":["x"]}', "invalid filter 'foo'"), ('{"dangling":["x"]}', "invalid filter 'dangling=x'")):
        status, answer = d.json("GET", "/volumes?filters=" + text.replace('"', "%22"))
        assert status == 400 and words.split("=")[0] in answer["message"]
    holder = inspect(d, "holder")["Id"]
    assert d.json("DELETE", "/volumes/held") == (409, {"message": "remove held: volume is in use - [%s]" % holder})
    assert d.json("DELETE", "/volumes/held?force=1")[0] == 409
    d.docker("rm", "-v", "holder")
    assert {"held", "idle"} <= volumes(d)  # -v takes no named one
    d.docker("volume", "rm", "held", "idle")


def test_prune(berthd):
    d = berthd
    d.docker("volume", "create", "kept")
    d.docker("volume", "create", "--label", "keep", "spared")
    anonymous = d.out("volume", "create")
    with open(d.data + "/volumes/%s/_data/file" % anonymous, "w") as f:
        f.write("x" * 1000)
    status, answer = d.json("POST", "/v1.51/volumes/prune")
    assert (status, answer) == (200, {"VolumesDeleted": [anonymous], "SpaceReclaimed": 1000})
    assert d.json("POST", "/v1.51/volumes/prune") == (200, {"VolumesDeleted": [], "SpaceReclaimed": 0})
    filters = '{"all":["true"],"label!":["keep"]}'.replace('"', "%22")
    status, answer = d.json("POST", "/v1.51/volumes/prune?filters=" + filters)
    assert "kept" in answer["VolumesDeleted"] and "spared" not in answer["VolumesDeleted"]
    assert d.json("POST", "/v1.41/volumes/prune")[1]["VolumesDeleted"] == ["spared"]
    assert d.json("POST", "/v1.41/volumes/prune?filters=%7B%22all%22:%5B%22true%22%5D%7D")[0] == 400
    assert d.json("PUT", "/v1.51/volumes/kept", {})[0] == 503


def test_named_volume_outlives_its_containers(berthd):
    d = berthd
    d.docker("run", "--rm", "-v", "data1:/d", "busybox", "sh", "-c", "echo hello > /d/f")
    assert d.out("run", "--rm", "-v", "data1:/d:ro", "busybox", "cat", "/d/f") == "hello"
    done = d.docker("run", "--rm", "-v", "data1:/d:ro", "busybox", "touch", "/d/g", check=False)
    assert done.returncode and "Read-only" in done.stderr
    assert "data1" in volumes(d)
    d.docker("volume", "rm", "data1")


def test_anonymous_volumes_go_with_rm_v_and_rm(berthd):
    d = berthd
    before = volumes(d)
    d.docker("run", "--rm", "-v", "/anon", "busybox", "touch", "/anon/x")
    assert volumes(d) == before
    d.docker("create", "--name", "keeps", "-v", "/anon", "busybox")
    new = volumes(d) - before
    assert len(new) == 1 and len(list(new)[0]) == 64
    d.docker("rm", "keeps")
    assert volumes(d) - before == new
    d.docker("volume", "rm", *new)
    d.docker("create", "--name", "drops", "-v", "/anon", "--mount", "type=volume,target=/other", "busybox")
    assert len(volumes(d) - before) == 2
    d.docker("rm", "-v", "drops")
    assert volumes(d) == before and not os.listdir(d.data + "/volumes/.gone")


SCRIPT = """
mkdir -p data/dir empty single
echo one > data/file; chown 12:34 data/file; chmod 4751 data/file
ln data/file data/dir/hard; ln -s /etc/passwd data/link; ln -s dir data/relative
mkfifo data/pipe; chown 5:6 data/dir; chmod 1777 data/dir
chown 1000:1001 data empty; chmod 2750 data; chmod 700 empty
setfattr -n user.colour -v blue data/file 2>/dev/null || true
touch -d 2001-02-03T04:05:06Z data/file
echo x > single/f
"""


def test_copy_up(berthd):
    d = berthd
    make_image(d, "filled", SCRIPT, "VOLUME /data", "VOLUME /empty", 'CMD ["true"]')
    look = "cd /v; stat -c '%a %u:%g %n' . file dir; cat file; readlink link; readlink relative; stat -c %h file; stat -c %F pipe; " \
           "stat -c %Y file"
    expected = ["2750 1000:1001 .", "4751 12:34 file", "1777 5:6 dir", "one", "/etc/passwd", "dir", "2", "fifo", "981173106"]
    d.docker("create", "--name", "filler", "-v", "named:/data", "filled")  # filled at create, as dockerd does
    assert d.out("run", "--rm", "-v", "named:/v", "busybox", "sh", "-c", look).splitlines() == expected
    if "user.colour" in os.listxattr(d.root + "/image-filled/data/file"):
        assert os.getxattr(d.data + "/volumes/named/_data/file", "user.colour") == b"blue"
    own = inspect(d, "filler")["Mounts"]
    empty = [m for m in own if m["Destination"] == "/empty"][0]
    assert d.out("run", "--rm", "-v", empty["Name"] + ":/v", "busybox", "stat", "-c", "%a %u:%g", "/v") == "700 1000:1001"
    d.docker("rm", "-v", "filler")
    # what is there stays, and nocopy is respected
    d.docker("run", "--rm", "-v", "full:/v", "busybox", "touch", "/v/mine")
    assert d.out("run", "--rm", "-v", "full:/data", "filled", "ls", "/data") == "mine"
    assert d.out("run", "--rm", "-v", "bare:/data:nocopy", "filled", "ls", "/data") == ""
    assert d.out("run", "--rm", "--mount", "type=volume,source=bare2,target=/data,volume-nocopy", "filled", "ls", "/data") == ""
    # the pattern of data containers: never started, only volumes-from
    d.docker("create", "--name", "store", "-v", "/single", "filled")
    assert d.out("run", "--rm", "--volumes-from", "store", "busybox", "cat", "/single/f") == "x"
    d.docker("rm", "-v", "store")
    d.docker("volume", "rm", "named", "full", "bare", "bare2")
    d.docker("rmi", "filled")


def test_a_full_disk_leaves_no_volume(fresh):
    d = fresh
    os.makedirs(d.data + "/volumes")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", d.data + "/volumes"], check=True)
    try:
        d.start()
        d.load_busybox()
        done = d.docker("create", "-v", "big:/bin", "-v", "/anon", "busybox", check=False)
        assert "no space left on device" in done.stderr.lower()
        assert until(lambda: sorted(os.listdir(d.data + "/volumes")) == [".gone", ".making"])
        assert not os.listdir(d.data + "/volumes/.making") and not volumes(d) and not d.out("ps", "-aq")
        d.docker("run", "--rm", "-v", "small:/s", "busybox", "touch", "/s/f")
        d.docker("volume", "rm", "small")
        assert d.stop() == 0
    finally:
        if d.process:
            d.stop()
        subprocess.run(["umount", "-l", d.data + "/volumes"], check=True)


def test_a_volume_over_a_file(berthd):
    d = berthd
    before = volumes(d)
    done = d.docker("create", "-v", "/bin/sh", "busybox", check=False)
    assert "cannot mount volume over existing file, file exists " in done.stderr
    assert volumes(d) == before


def test_options_are_mounted_for_the_first_and_unmounted_after_the_last(berthd):
    d = berthd
    host = os.path.join(d.root, "device")
    os.makedirs(host)
    d.docker("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=" + host, "bound")
    d.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=770", "memory")
    where = [d.data + "/volumes/%s/_data" % name for name in ("bound", "memory")]

    def mounted():
        return [os.path.ismount(path) for path in where] if os.path.ismount(where[1]) else [where[0] in "".join(d.mounts()), False]

    a = d.out("run", "-d", "-v", "bound:/b", "-v", "memory:/m", "busybox", "sleep", "1000")
    b = d.out("run", "-d", "-v", "bound:/b", "-v", "memory:/m", "busybox", "sleep", "1000")
    d.docker("exec", a, "touch", "/b/f", "/m/g")
    assert os.listdir(host) == ["f"] and "size=1024k" in "".join(d.mounts())
    d.docker("rm", "-f", a)
    assert d.out("exec", b, "ls", "/m") == "g"
    d.docker("rm", "-f", b)
    assert not d.mounts()
    d.docker("volume", "rm", "bound", "memory")
    assert os.listdir(host) == ["f"]  # the device is not the volume
    d.docker("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/nonexist", "bad")
    done = d.docker("run", "--rm", "-v", "bad:/x:nocopy", "busybox", "true", check=False)
    assert "error while mounting volume '%s/volumes/bad/_data': failed to mount local volume: mount /nonexist:%s/volumes/bad/_data, " \
           "flags: 0x1000: no such file or directory" % (d.data, d.data) in done.stderr
    d.docker("volume", "rm", "bad")


def test_everything_at_once(berthd):
    """Creations, starts, removals and prunes of the same two volumes: each answer is one of those that make sense."""
    d = berthd
    before = volumes(d)
    odd = []

    def ask(method, path, body=None, expected=()):
        status, answer = d.json(method, path, body)
        if status not in expected:
            odd.append((method, path, status, answer))
        return status, answer

    def worker(n):
        for i in range(5):
            ask("POST", "/volumes/create", {"Name": "par-plain"}, (201, 409))
            ask("POST", "/volumes/create", {"Name": "par-memory", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}}, (201, 409))
            body = {"Image": "busybox", "Cmd": ["touch", "/p/x", "/m/x", "/a/x"], "Volumes": {"/a": {}},
                    "HostConfig": {"Binds": ["par-plain:/p", "par-memory:/m"]}}
            status, made = ask("POST", "/containers/create", body, (201, 409))
            if status == 201:
                ask("POST", "/containers/%s/start" % made["Id"], None, (204,))
                if (n + i) % 2:
                    ask("POST", "/containers/%s/wait" % made["Id"], None, (200,))
                ask("DELETE", "/containers/%s?v=1&force=1" % made["Id"], None, (204,))
            ask("DELETE", "/volumes/par-plain", None, (204, 404, 409))
            ask("DELETE", "/volumes/par-memory", None, (204, 404, 409))
            ask("POST", "/volumes/prune", None, (200, 409))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, range(4)))
    assert not odd
    d.docker("volume", "rm", "-f", "par-plain", "par-memory")
    assert volumes(d) == before and not d.mounts()
    assert os.listdir(d.data + "/volumes/.gone") == [] and until(lambda: not os.listdir(d.data + "/volumes/.making"))


def test_events(berthd):
    d = berthd
    client = docker_py.DockerClient(base_url="unix://" + d.socket)
    try:
        since = client.api.info()["SystemTime"]
        client.containers.run("busybox", "true", volumes={"evented": {"bind": "/e", "mode": "rw"}}, name="ev", remove=False)
        client.containers.get("ev").remove()
        client.volumes.get("evented").remove()
        client.volumes.prune()
        end = client.api.info()["SystemTime"]
        seen = [json.loads(e) for e in d.out("events", "--since", since, "--until", end, "--format", "{{json .}}").splitlines()]
        ours = [(e["Type"], e["Action"]) for e in seen if e["Type"] == "volume" or e["Action"] in ("start", "die", "create")]
        assert ours == [("volume", "create"), ("container", "create"), ("volume", "mount"), ("container", "start"),
                        ("volume", "unmount"), ("container", "die"), ("volume", "destroy"), ("volume", "prune")]
        mount = [e["Actor"] for e in seen if e["Action"] == "mount"][0]
        assert mount["ID"] == "evented" and mount["Attributes"]["destination"] == "/e" and mount["Attributes"]["read/write"] == "true"
        assert mount["Attributes"]["driver"] == "local" and len(mount["Attributes"]["container"]) == 64
    finally:
        client.close()


@pytest.mark.skipif(not os.environ.get("BERTH_DOCKER_20"), reason="no docker 20.10 here")
def test_docker_cli_of_debian(berthd):
    d, old = berthd, os.environ["BERTH_DOCKER_20"]
    before = volumes(d)
    assert d.out("volume", "create", "--label", "a=b", "old", binary=old) == "old"
    assert d.out("run", "--rm", "-v", "old:/o", "-v", "/anon", "--mount", "type=tmpfs,target=/t", "busybox", "sh", "-c",
                 "echo 1 > /o/f; cat /o/f", binary=old) == "1"
    assert json.loads(d.out("volume", "inspect", "old", binary=old))[0]["Labels"] == {"a": "b"}
    assert "old" in d.out("volume", "ls", "-q", "-f", "dangling=true", binary=old).split()
    done = d.docker("create", "--mount", "type=bind,source=/nonexist,target=/x", "busybox", binary=old, check=False)
    assert 'invalid mount config for type "bind": bind source path does not exist: /nonexist' in done.stderr
    assert "old" in d.out("volume", "prune", "-f", binary=old)
    assert volumes(d) == before


def test_docker_py(berthd):
    client = docker_py.DockerClient(base_url="unix://" + berthd.socket)
    try:
        v = client.volumes.create("pyvol", labels={"by": "py"})
        assert [x.name for x in client.volumes.list(filters={"label": "by=py"})] == ["pyvol"]
        mount = docker_py.types.Mount("/p", "pyvol", labels={"x": "y"})
        assert client.containers.run("busybox", ["sh", "-c", "echo 1 > /p/f; cat /p/f"], mounts=[mount], remove=True) == b"1\n"
        v.remove()
        with pytest.raises(docker_py.errors.NotFound):
            client.volumes.get("pyvol")
    finally:
        client.close()


def test_disk_usage(berthd):
    d = berthd
    d.docker("run", "--name", "user", "-v", "sized:/s", "busybox", "sh", "-c",
             "mkdir /s/d; head -c 5000 /dev/zero > /s/d/f; ln /s/d/f /s/g; ln -s /bin/busybox /s/l")
    status, all = d.json("GET", "/v1.51/system/df")
    assert status == 200 and set(all) == {"LayersSize", "Images", "Containers", "Volumes", "BuildCache"}
    sized = [v for v in all["Volumes"] if v["Name"] == "sized"][0]
    assert sized["UsageData"] == {"Size": 5000 + len("/bin/busybox"), "RefCount": 1}
    assert all["LayersSize"] > 0 and all["Images"][0]["Containers"] >= 1 and all["BuildCache"] == []
    assert any(c["Names"] == ["/user"] and c["SizeRootFs"] > 0 for c in all["Containers"])
    status, some = d.json("GET", "/v1.51/system/df?type=volume")
    assert some["Volumes"] and some["Images"] is None and some["Containers"] is None and some["LayersSize"] == 0
    assert d.json("GET", "/v1.51/system/df?type=x") == (400, {"message": "unknown object type: x"})
    assert d.json("GET", "/v1.41/system/df?type=x")[1]["BuilderSize"] == 0
    rows = [json.loads(line) for line in d.out("system", "df", "--format", "{{json .}}").splitlines()]
    assert d.json("GET", "/info")[1]["Plugins"]["Volume"] == ["local"]
    assert {r["Type"] for r in rows} == {"Images", "Containers", "Local Volumes", "Build Cache"}
    d.docker("rm", "user")
    d.docker("volume", "rm", "sized")


def test_copy_up_writes_through_nothing_that_is_there(berthd):
    d = berthd
    canary = os.path.join(d.root, "canary3")
    os.makedirs(canary)
    make_image(d, "many", "mkdir -p data/etc; for i in $(seq 300); do echo image > data/etc/f$i; done", 'CMD ["true"]')
    swap = "while ! [ -e /v/etc ]; do :; done; while :; do for n in /v/etc /v/etc/f1 /v/etc/f200; do rm -rf $n; ln -s %s $n; done; done 2>/dev/null" % canary
    for round in range(4):
        racer = d.out("run", "-d", "-v", "race%d:/v" % round, "busybox", "sh", "-c", swap)
        try:
            for _ in range(3):
                d.docker("rm", "-v", d.docker("create", "-v", "race%d:/data" % round, "many", check=False).stdout.strip() or "none",
                         check=False)
        finally:
            d.docker("rm", "-f", racer)
        d.docker("volume", "rm", "race%d" % round)
    assert os.listdir(canary) == []
    d.docker("rmi", "many")


def test_volumes_and_mounts_outlive_the_daemon(fresh):
    d = fresh
    d.start()
    d.load_busybox()
    d.docker("volume", "create", "--label", "a=b", "named")
    d.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory")
    d.docker("run", "-d", "--name", "cc", "-v", "named:/n", "-v", "/anon", "-v", "memory:/m", "busybox", "sleep", "1000")
    d.docker("exec", "cc", "sh", "-c", "echo 1 > /n/f; echo 2 > /anon/f; echo 3 > /m/f")
    before = inspect(d, "cc")["Mounts"]
    listed = d.json("GET", "/volumes")
    d.kill9()
    # what a creation and a removal that were cut off leave, and a directory from a backup
    root = d.data + "/volumes"
    for path in ("/cut/_data/x", "/.gone/over/_data", "/backup/_data/kept"):
        os.makedirs(root + path)
    open(root + "/.making/cut", "w").close()
    d.start()
    assert d.out("exec", "cc", "cat", "/n/f", "/anon/f", "/m/f") == "1\n2\n3"
    assert inspect(d, "cc")["Mounts"] == before
    assert not os.path.exists(root + "/cut") and os.listdir(root + "/.making") == os.listdir(root + "/.gone") == []
    assert os.listdir(root + "/backup/_data") == ["kept"] and "backup" in volumes(d)
    d.docker("volume", "rm", "backup")
    assert d.json("GET", "/volumes") == listed
    assert d.json("DELETE", "/volumes/memory")[0] == 409
    d.docker("stop", "-t", "0", "cc")
    assert until(lambda: not [line for line in d.mounts()])
    d.docker("start", "cc")
    assert d.out("exec", "cc", "cat", "/n/f", "/anon/f") == "1\n2"
    d.kill9()
    for pid, _line in d.processes():
        os.kill(pid, 9)
    os.rename(root + "/named", root + "/.gone/named")  # a removal that was cut off before it was durable
    d.start()
    assert open(root + "/named/_data/f").read() == "1\n"
    assert until(lambda: inspect(d, "cc")["State"]["Status"] == "exited")
    assert until(lambda: not d.mounts())
    d.docker("rm", "-v", "cc")
    assert volumes(d) == {"named", "memory"}
    check_clean(d)


def test_a_create_that_is_killed_leaves_no_volume(fresh):
    d = fresh
    d.start()
    d.load_busybox()
    d.docker("volume", "create", "stays")
    for delay in (0, 0.002, 0.005, 0.01, 0.02, 0.04):
        argv = ["docker", "create", "-v", "/one", "-v", "stays:/two", "-v", "fresh:/three", "busybox"]
        running = subprocess.Popen(argv, env=d.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        until(lambda: os.path.exists(d.data + "/volumes/fresh"), 0.3)
        time.sleep(delay)
        d.kill9()
        told = running.communicate()[0].strip()
        d.start()
        containers = d.out("ps", "-aq", "--no-trunc").split()
        assert not told or containers == [told]
        held = {m["Name"] for c in containers for m in inspect(d, c)["Mounts"]}
        assert volumes(d) == held | {"stays"}  # nothing that nobody owns, nothing that somebody does is gone
        assert set(os.listdir(d.data + "/volumes")) == volumes(d) | {".making", ".gone"}
        for c in containers:
            d.docker("rm", "-v", c)
        d.docker("volume", "rm", "-f", "fresh")
    check_clean(d)


def test_a_lost_store_costs_no_volume(fresh):
    d = fresh
    d.start()
    d.docker("volume", "create", "--label", "a=b", "safe")
    with open(d.data + "/volumes/safe/_data/f", "w") as f:
        f.write("x")
    before = d.json("GET", "/volumes/safe")
    assert d.stop() == 0
    for name in os.listdir(d.data):
        if name.startswith("state.db"):
            with open(os.path.join(d.data, name), "wb") as f:
                f.write(b"not a database " * 1000)
    d.start()
    assert d.json("GET", "/volumes/safe") == before
    assert os.listdir(d.data + "/volumes/safe/_data") == ["f"]
