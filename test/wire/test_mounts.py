"""Mounts of every kind, by the docker CLI and bare requests: what is shown, refused, done, and what stays inside."""
import os
import subprocess

import pytest

from conftest import until
from volume_rig import create, inspect, make_image, refused, volumes


def test_mounts_of_inspect_and_list(berthd):
    d = berthd
    d.docker("create", "--name", "all", "-v", "/anon", "-v", "na:/na", "-v", "na:/nb:ro", "-v", os.path.dirname(d.root) + ":/bb:ro", "-v", "/var:/bp:rshared",
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
    # it holds the daemon's root
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
