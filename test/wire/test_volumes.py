"""Volumes and mounts: every kind, by the docker CLI, docker-py and bare requests, on real containers."""
import concurrent.futures
import json
import os
import subprocess
import time

import docker as docker_py
import pytest

from conftest import check_clean, until


def inspect(d, name):
    return json.loads(d.out("inspect", name))[0]


def create(d, body, version="1.51", name=""):
    status, answer = d.json("POST", "/v%s/containers/create%s" % (version, name and "?name=" + name), body)
    return status, answer


def refused(d, host, status, words, version="1.51", **config):
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": host, **config}
    got, answer = create(d, body, version)
    assert (got, answer.get("message")) == (status, words)


def volumes(d):
    return set(d.out("volume", "ls", "-q").split())


def make_image(d, tag, script, *changes):
    """An image whose layer was made by a shell script run in an empty directory."""
    root = os.path.join(d.root, "image-" + tag)
    subprocess.run(["mkdir", "-p", root + "/bin"], check=True)
    subprocess.run(["cp", "/bin/busybox", root + "/bin/busybox"], check=True)
    os.symlink("busybox", root + "/bin/sh")
    for word in ("ls", "stat", "cat", "readlink", "true", "sleep", "id", "mount", "touch"):
        os.symlink("busybox", root + "/bin/" + word)
    subprocess.run(["sh", "-ec", script], cwd=root, check=True)
    tar = root + ".tar"
    subprocess.run(["tar", "--xattrs", "--numeric-owner", "-cf", tar, "-C", root, "."], check=True)
    words = [w for change in changes for w in ("-c", change)]
    d.docker("import", *words, tar, tag)
    os.unlink(tar)


# ---- the volume routes ----

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


# ---- containers and their volumes ----

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


def test_mounts_of_inspect_and_list(berthd):
    d = berthd
    d.docker("create", "--name", "all", "-v", "/anon", "-v", "na:/na", "-v", "na:/nb:ro", "-v", "/tmp:/bb:ro", "-v", "/var:/bp:rshared",
             "--mount", "type=tmpfs,target=/tt,tmpfs-size=1m,tmpfs-mode=700", "--mount", "type=volume,source=mv,target=/mv",
             "--mount", "type=bind,source=/var,target=/mb,readonly", "--tmpfs", "/tm", "busybox")
    mounts = {m["Destination"]: m for m in inspect(d, "all")["Mounts"]}
    anon = mounts["/anon"]["Name"]
    where = d.data + "/volumes/%s/_data"

    def volume(name, destination, mode, rw=True):
        return {"Type": "volume", "Name": name, "Source": where % name, "Destination": destination, "Driver": "local", "Mode": mode,
                "RW": rw, "Propagation": ""}

    assert mounts["/anon"] == volume(anon, "/anon", "")
    assert mounts["/na"] == volume("na", "/na", "z") and mounts["/nb"] == volume("na", "/nb", "ro", False)
    assert mounts["/mv"] == volume("mv", "/mv", "z")
    assert mounts["/tt"] == {"Type": "tmpfs", "Source": "", "Destination": "/tt", "Mode": "", "RW": True, "Propagation": ""}
    assert mounts["/mb"] == {"Type": "bind", "Source": "/var", "Destination": "/mb", "Mode": "", "RW": False,
                             "Propagation": "rprivate"}
    assert mounts["/bp"]["Mode"] == mounts["/bp"]["Propagation"] == "rshared" and mounts["/bp"]["RW"]
    # the daemon's root is below /tmp here
    assert mounts["/bb"]["Propagation"] == "rslave" and mounts["/bb"]["Mode"] == "ro"
    assert "/tm" not in mounts
    for value, found in (("na", True), ("/mb", True), (anon, True), ("nothing", False)):
        assert bool(d.out("ps", "-aq", "-f", "volume=" + value)) is found
    listed = {m["Destination"]: m for m in [c for c in d.json("GET", "/containers/json?all=1")[1] if "/all" in c["Names"]][0]["Mounts"]}
    assert listed["/anon"]["Source"] == "" and listed["/na"]["Source"] == where % "na"
    d.docker("create", "--name", "heir", "--volumes-from", "all:ro", "-v", "mine:/mv", "busybox")
    heir = {m["Destination"]: m for m in inspect(d, "heir")["Mounts"]}
    assert set(heir) == set(mounts) and heir["/mv"]["Name"] == "mine" and heir["/mv"]["RW"]
    assert not heir["/na"]["RW"] and heir["/anon"]["Name"] == anon
    d.docker("rm", "-v", "all")
    assert anon in volumes(d)  # the heir has it
    d.docker("rm", "-v", "heir")
    assert anon not in volumes(d)
    d.docker("volume", "rm", "na", "mv", "mine")


BOTH = {"Binds": ["/tmp:/x", "aa:/x"]}


@pytest.mark.parametrize("host, status, words", [
    ({"Binds": ["aa:/x:rshared"]}, 400, "invalid volume specification: 'aa:/x:rshared': invalid mount config for type \"volume\": "
     "field BindOptions must not be specified"),
    ({"Binds": ["/tmp:/x:nocopy"]}, 400, "invalid volume specification: '/tmp:/x:nocopy': invalid mount config for type \"bind\": "
     "field VolumeOptions must not be specified"),
    ({"Binds": ["/tmp:/x:bad"]}, 400, "invalid mode: bad"),
    ({"Binds": ["/tmp:/x:ro,rw"]}, 400, "invalid mode: ro,rw"),
    ({"Binds": ["/tmp:x"]}, 400, "invalid volume specification: '/tmp:x': invalid mount config for type \"bind\": invalid mount path: "
     "'x' mount path must be absolute"),
    ({"Binds": ["aa:/"]}, 400, "invalid volume specification: 'aa:/': invalid mount config for type \"volume\": invalid "
     "specification: destination can't be '/'"),
    ({"Binds": ["a:/q"]}, 400, "create a: volume name is too short, names should be at least two alphanumeric characters"),
    ({"Binds": ["q"]}, 400, "invalid volume specification: 'q': invalid mount config for type \"volume\": invalid mount path: 'q' "
     "mount path must be absolute"),
    ({"Binds": ["/x:rw"]}, 400, "invalid volume specification: '/x:rw'"),
    ({"Binds": ["a:b:c:d"]}, 400, "invalid volume specification: 'a:b:c:d'"),
    ({"Binds": [":/x"]}, 400, "invalid volume specification: ':/x'"),
    (BOTH, 400, "Duplicate mount point: /x"),
    ({"Binds": ["/tmp:/x"], "Tmpfs": {"/x": ""}}, 400, "Duplicate mount point: /x"),
    ({"Mounts": [{"Type": "bind", "Source": "/nonexist", "Target": "/x"}]}, 400,
     'invalid mount config for type "bind": bind source path does not exist: /nonexist'),
    ({"Mounts": [{"Type": "bind", "Source": "tmp", "Target": "/x"}]}, 400,
     "invalid mount config for type \"bind\": invalid mount path: 'tmp' mount path must be absolute"),
    ({"Mounts": [{"Type": "bind", "Target": "/x"}]}, 400, 'invalid mount config for type "bind": field Source must not be empty'),
    ({"Mounts": [{"Type": "bind", "Source": "/tmp"}]}, 400, 'invalid mount config for type "bind": field Target must not be empty'),
    ({"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"Propagation": "foo"}}]}, 400,
     'invalid mount config for type "bind": invalid propagation mode: foo'),
    ({"Mounts": [{"Type": "npipe", "Source": "/tmp", "Target": "/x"}]}, 400, 'invalid mount config for type "npipe": mount type unknown'),
    ({"Mounts": [{"Type": "tmpfs", "Source": "/tmp", "Target": "/x"}]}, 400,
     'invalid mount config for type "tmpfs": field Source must not be specified'),
    ({"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [["suid"]]}}]}, 400,
     'invalid mount config for type "tmpfs": invalid option: suid'),
    ({"Mounts": [{"Type": "volume", "Target": "/x", "ReadOnly": True}]}, 400,
     'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes'),
    ({"Mounts": [{"Type": "volume", "Source": "nn", "Target": "/x", "VolumeOptions": {"Subpath": "../x"}}]}, 400,
     'invalid mount config for type "volume": subpath must be a relative path within the volume'),
    ({"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x", "VolumeOptions": {}}]}, 400,
     'VolumeOptions must not be specified on mount type "bind"'),
    ({"Mounts": [{"Type": "volume", "Source": "nn", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": "nope"}}}]}, 404,
     'create nn: error looking up volume plugin nope: plugin "nope" not found'),
    ({"Binds": ["vol1:/proc"]}, 400, '"/proc" cannot be mounted because it is not of type proc'),
    ({"Binds": ["/tmp:/x/../proc/self"]}, 400, '"/proc/self" cannot be mounted because it is inside /proc'),
    ({"Mounts": [{"Type": "tmpfs", "Target": "/x"}], "Tmpfs": {"/x": ""}}, 400, "Duplicate mount point: /x"),
    ({"VolumesFrom": ["nope"]}, 400, "No such container: nope"),
    ({"VolumesFrom": [""]}, 400, "volumes-from specification cannot be an empty string"),
    ({"VolumesFrom": ["nope:rshared"]}, 400, "invalid mode: rshared"),
])
def test_refused_mounts(berthd, host, status, words):
    before = volumes(berthd)
    refused(berthd, host, status, words)
    assert volumes(berthd) == before


def test_what_older_clients_may_say(berthd):
    d = berthd
    subpath = {"Mounts": [{"Type": "volume", "Source": "nn", "Target": "/x", "VolumeOptions": {"Subpath": "x"}}]}
    refused(d, subpath, 400, "VolumeOptions.Subpath needs API v1.45 or newer", "1.44")
    refused(d, {"Mounts": [{"Type": "image", "Source": "busybox", "Target": "/x"}]}, 400,
            'Mount type "Image" needs API v1.48 or newer', "1.47")
    mismatched = {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x", "VolumeOptions": {}}]}
    status, answer = create(d, {"Image": "busybox", "HostConfig": mismatched}, "1.41")
    assert status == 201
    d.docker("rm", answer["Id"])


def test_binds(berthd):
    d = berthd
    host = os.path.join(d.root, "host")
    os.makedirs(host + "/deep")
    with open(host + "/f", "w") as f:
        f.write("from the host")
    assert d.out("run", "--rm", "-v", host + ":/h", "busybox", "sh", "-c", "cat /h/f; echo back > /h/g") == "from the host"
    assert open(host + "/g").read() == "back\n"
    assert d.out("run", "--rm", "-v", host + "/f:/file:ro", "busybox", "cat", "/file") == "from the host"
    d.docker("run", "--rm", "-v", host + "/made/by/us:/m", "busybox", "true")
    made = os.stat(host + "/made/by/us")
    assert made.st_uid == 0 and made.st_mode & 0o777 == 0o755
    d.docker("create", "--name", "gone", "--mount", "type=bind,source=%s/deep,target=/x" % host, "busybox")
    os.rmdir(host + "/deep")
    done = d.docker("start", "gone", check=False)
    assert "bind source path does not exist: %s/deep" % host in done.stderr
    d.docker("rm", "gone")
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Mounts": [
        {"Type": "bind", "Source": host + "/new", "Target": "/x", "BindOptions": {"CreateMountpoint": True}}]}}
    status, answer = create(d, body)
    assert status == 201
    d.docker("start", "-a", answer["Id"])
    assert os.path.isdir(host + "/new")
    d.docker("rm", answer["Id"])


def test_readonly_is_recursive_unless_asked_otherwise(berthd):
    d = berthd
    host = os.path.join(d.root, "tree")
    os.makedirs(host + "/sub")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", host + "/sub"], check=True)
    try:
        def write(options, version="1.51"):
            body = {"Image": "busybox", "Cmd": ["touch", "/x/sub/f"], "HostConfig": {"Mounts": [
                {"Type": "bind", "Source": host, "Target": "/x", "ReadOnly": True, "BindOptions": options}]}}
            made = create(d, body, version)[1]["Id"]
            d.docker("start", "-a", made, check=False)
            code = inspect(d, made)["State"]["ExitCode"]
            d.docker("rm", made)
            return code

        assert write({}) == 1
        assert write({"ReadOnlyNonRecursive": True}) == 0
        os.unlink(host + "/sub/f")
        assert write({}, "1.43") == 0
        os.unlink(host + "/sub/f")
        assert write({"NonRecursive": True}) == 1
    finally:
        subprocess.run(["umount", host + "/sub"], check=True)


def test_tmpfs(berthd):
    d = berthd
    out = d.out("run", "--rm", "--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770", "busybox", "sh", "-c",
                "grep ' /t ' /proc/mounts; stat -c %a /t; dd if=/dev/zero of=/t/f bs=1k count=2000 2>/dev/null; stat -c %s /t/f")
    lines = out.splitlines()
    assert "size=1024k" in lines[0] and "noexec" in lines[0] and lines[1] == "1770" and int(lines[2]) <= 1 << 20
    body = {"Image": "busybox", "Cmd": ["grep", " /t ", "/proc/mounts"], "HostConfig": {"Mounts": [
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"Options": [["exec"]]}}]}}
    made = create(d, body)[1]["Id"]
    assert "noexec" not in d.out("start", "-a", made)
    d.docker("rm", made)


# ---- copy-up ----

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


def test_image_volumes_stay_inside(berthd):
    d = berthd
    canary = os.path.join(d.root, "canary")
    os.makedirs(canary)
    with open(canary + "/secret", "w") as f:
        f.write("secret")
    before = os.stat(canary)
    make_image(d, "hostile", "ln -s ../../../../../../../../%s out; ln -s %s abs; mkdir -p in" % (canary, canary),
               "VOLUME /../..%s" % canary, "VOLUME /out", "VOLUME /abs", 'CMD ["true"]')
    made = d.out("create", "hostile")
    for m in inspect(d, made)["Mounts"]:
        assert os.listdir(m["Source"]) == []  # the links led to nothing inside the image
    d.docker("start", "-a", made, check=False)
    d.docker("rm", "-v", made)
    assert os.listdir(canary) == ["secret"] and os.stat(canary).st_mtime_ns == before.st_mtime_ns
    assert os.stat(canary).st_mode == before.st_mode
    d.docker("rmi", "hostile")


def test_a_volume_over_a_file(berthd):
    d = berthd
    before = volumes(d)
    done = d.docker("create", "-v", "/bin/sh", "busybox", check=False)
    assert "cannot mount volume over existing file, file exists " in done.stderr
    assert volumes(d) == before


# ---- parts of volumes and images ----

def test_volume_subpath(berthd):
    d = berthd
    d.docker("run", "--rm", "-v", "parts:/v", "busybox", "sh", "-c",
             "mkdir -p /v/a/b; echo deep > /v/a/b/f; ln -s /etc /v/abs; ln -s ../../.. /v/up; ln -s a /v/ok; echo file > /v/one")

    def cat(subpath, what="f", check=True):
        return d.docker("run", "--rm", "--mount", "type=volume,source=parts,target=/x,volume-subpath=" + subpath, "busybox", "cat",
                        "/x/" + what if what else "/x", check=check)

    assert cat("a/b").stdout == "deep\n" and cat("ok/b").stdout == "deep\n" and cat("one", None).stdout == "file\n"
    for escape in ("abs", "up", "ok/../../x"):
        done = cat(escape, check=False)
        assert done.returncode and ("escapes" in done.stderr or "subpath must be a relative" in done.stderr), done.stderr
    assert "cannot access path" in cat("missing", check=False).stderr
    assert not d.mounts() and not os.listdir(d.run + "/mounts")
    d.docker("volume", "rm", "parts")


def test_image_mount(berthd):
    d = berthd
    make_image(d, "content", "mkdir -p tree/sub; echo here > tree/sub/f; ln -s /etc tree/out", 'CMD ["true"]')
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "cat /i/tree/sub/f /s/f; touch /i/x || echo readonly"], "HostConfig": {"Mounts": [
        {"Type": "image", "Source": "content", "Target": "/i"},
        {"Type": "image", "Source": "content", "Target": "/s", "ImageOptions": {"Subpath": "tree/sub"}}]}}
    made = create(d, body)[1]["Id"]
    done = d.docker("start", "-a", made)
    assert done.stdout == "here\nhere\nreadonly\n"
    mounts = inspect(d, made)["Mounts"]
    assert [(m["Type"], m["Name"], m["RW"]) for m in mounts] == [("image", "content", False)] * 2
    assert d.docker("rmi", "content", check=False).returncode  # held
    d.docker("rm", made)
    d.docker("rmi", "content")
    assert create(d, body)[0] == 404


# ---- driver options ----

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


# ---- events, docker-py ----

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


# ---- what another container changes meanwhile ----

RACER = """
mkdir -p /v/real /v/here; touch /v/real/inside
ln -s ../../../../../../..%s /v/away
while :; do mv -T /v/here /v/spare 2>/dev/null; mv -T /v/away /v/here 2>/dev/null; mv -T /v/here /v/away 2>/dev/null; mv -T /v/spare /v/here 2>/dev/null
done
"""


def test_a_swapped_subpath_and_a_swapped_mount_point_stay_inside(berthd):
    d = berthd
    canary = os.path.join(d.root, "canary2")
    os.makedirs(canary)
    open(canary + "/secret", "w").close()
    before = os.stat(canary)
    d.docker("volume", "create", "raced")
    racer = d.out("run", "-d", "-v", "raced:/v", "busybox", "sh", "-c", RACER % canary)
    try:
        until(lambda: os.path.exists(d.data + "/volumes/raced/_data/real"))
        began = 0
        for _ in range(12):
            done = d.docker("run", "--rm", "--mount", "type=volume,source=raced,target=/x,volume-subpath=here", "busybox", "ls", "/x",
                            check=False)
            assert "secret" not in done.stdout
            began += done.returncode == 0
            # a second volume's mount point lies inside the raced one
            done = d.docker("run", "--rm", "-v", "raced:/m", "-v", "inner:/m/here", "busybox", "touch", "/m/here/x", check=False)
            began += done.returncode == 0
        assert began
    finally:
        d.docker("rm", "-f", racer)
    after = os.stat(canary)
    assert os.listdir(canary) == ["secret"] and (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert not [line for line in d.mounts() if "canary2" in line] and not d.mounts()
    d.docker("volume", "rm", "raced", "inner")


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


def test_propagation(berthd):
    d = berthd
    shared = os.path.join(d.root, "shared")
    os.makedirs(shared + "/sub")
    refused_start = d.docker("run", "--rm", "-v", d.root + "/lib:/s:rshared", "busybox", "true", check=False)
    assert "it is not a shared mount" in refused_start.stderr
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", shared], check=True)
    try:
        subprocess.run(["mount", "--make-shared", shared], check=True)
        os.makedirs(shared + "/sub")
        slave = d.out("run", "-d", "-v", shared + ":/s:rslave", "busybox", "sleep", "1000")
        private = d.out("run", "-d", "-v", shared + ":/s", "busybox", "sleep", "1000")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", shared + "/sub"], check=True)
        assert "size=3072k" in d.out("exec", slave, "cat", "/proc/mounts")
        assert "size=3072k" not in d.out("exec", private, "cat", "/proc/mounts")
        d.docker("rm", "-f", slave, private)
        d.docker("run", "--rm", "--privileged", "-v", shared + ":/s:rshared", "busybox", "mount", "-t", "tmpfs", "-o", "size=5m",
                 "tmpfs", "/s/sub")
        assert "size=5120k" in open("/proc/mounts").read()
    finally:
        subprocess.run(["umount", "-R", "-l", shared], check=True)
    # the daemon's own root: rslave, and nothing else
    inside = {"Binds": [d.data + ":/x:private"]}
    status, answer = create(d, {"Image": "busybox", "HostConfig": inside})
    assert status == 400 and answer["message"].startswith("invalid mount config: must use either propagation mode \"rslave\" or \"rshared\"")


# ---- kill -9 ----

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
