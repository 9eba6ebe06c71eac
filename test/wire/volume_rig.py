"""What the tests of volumes and of mounts share."""
import json
import os
import subprocess


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
