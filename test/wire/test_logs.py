"""Logs on disk: bounded unless told otherwise."""
import glob
import os

import pytest


def written(d, megabytes, *options):
    cid = d.out("run", "-d", "--network", "none", *options, "busybox", "sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c %d" % (megabytes << 20))
    assert d.out("wait", cid) == "0"
    path = d.out("inspect", "-f", "{{.LogPath}}", cid)
    sizes = [os.path.getsize(name) for name in glob.glob(path + "*")]
    tail = d.out("logs", "--tail", "1", cid)
    d.docker("rm", cid)
    return sizes, tail


@pytest.mark.parametrize("options,files,least,most", [
    ((), 5, 41 << 20, 51 << 20),
    (("--log-opt", "max-size=1m"), 1, 0, 1 << 20),
    (("--log-opt", "max-size=1m", "--log-opt", "max-file=3"), 3, 2 << 20, 3 << 20),
    (("--log-opt", "max-file=2"), 2, 11 << 20, 20 << 20),
    (("--log-opt", "max-size=-1"), 1, 40 << 20, 400 << 20),
], ids=["default", "size", "size and files", "files", "no bound"])
def test_bounds(berthd, options, files, least, most):
    sizes, tail = written(berthd, 30, *options)
    assert len(sizes) == files and least <= sum(sizes) <= most + files * 200
    assert tail.startswith("0123456789")


def test_a_wrong_compress_is_refused(berthd):
    done = berthd.docker("create", "--log-opt", "compress=foo", "busybox", check=False)
    assert done.returncode == 1 and 'strconv.ParseBool: parsing "foo": invalid syntax' in done.stderr
