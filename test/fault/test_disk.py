"""The disk fails: the power is cut, it is full, it is slow.  What was answered is there, the rest says so."""
import concurrent.futures
import io
import os
import shutil
import subprocess
import tarfile
import threading
import time

import pytest

from conftest import Daemon, until

MIB = 1 << 20


class Disk:
    """An ext4 in a file, mounted; its kernel writes nothing back by itself for five minutes."""

    def __init__(self, folder, mib, options="commit=300"):
        self.file = os.path.join(folder, "disk")
        self.at = os.path.join(folder, "mnt")
        os.makedirs(self.at, exist_ok=True)
        with open(self.file, "wb") as f:
            f.truncate(mib * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.file], check=True)
        self.mount(options)

    def mount(self, options="commit=300"):
        subprocess.run(["mount", "-o", "loop," + options, self.file, self.at], check=True)

    def cut(self):
        """The power goes: what the disk holds now is all there will be."""
        copy = self.file + ".copy"
        shutil.copyfile(self.file, copy)
        subprocess.run(["umount", "-l", self.at], check=True)
        os.replace(copy, self.file)
        self.mount()

    def done(self):
        subprocess.run(["umount", "-l", self.at], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def on_disk(tmp_path, request):
    """Makes a disk and a daemon whose data root is on it; what they hold ends with the test."""
    made = []

    def make(mib=256, options="commit=300"):
        disk = Disk(str(tmp_path), mib, options)
        d = Daemon()
        made.append((disk, d))
        d.data = os.path.join(disk.at, "data")
        return disk, d

    failed = request.session.testsfailed
    yield make
    for disk, d in made:
        if request.session.testsfailed > failed and os.path.exists(d.log_path):
            print(d.log_text()[-8000:])
        d.clean()
        for line in reversed(open("/proc/self/mountinfo").read().splitlines()):
            at = line.split()[4]
            if at.startswith(disk.at + "/"):
                subprocess.run(["umount", "-l", at], check=False)
        disk.done()


def finish(d):
    ids = d.out("ps", "-aq", "--no-trunc").split()
    if ids:
        d.docker("rm", "-f", *ids)
    assert until(lambda: not d.links())
    assert d.stop() == 0
    assert "Sanitizer" not in d.log_text() and "runtime error" not in d.log_text(), d.log_text()


def test_power_cut_after_the_answers(on_disk):
    """F10: images, tags and containers that were acknowledged are there, whole: the image runs."""
    disk, d = on_disk()
    d.start()
    d.load_busybox()
    d.docker("tag", "busybox", "kept/again:v1")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: d.out("create", "--name", "c%d" % n, "busybox", "echo", "whole"), range(16)))
    d.docker("rm", "c15")
    image = d.json("GET", "/images/busybox/json")[1]["Id"]
    d.docker("volume", "create", "--label", "a=b", "plain")
    d.docker("create", "--name", "filled", "-v", "named:/bin", "-v", "/anon", "busybox")
    volumes, mounts = d.json("GET", "/volumes"), d.json("GET", "/containers/filled/json")[1]["Mounts"]
    filled = {name: os.path.getsize(d.data + "/volumes/named/_data/" + name) for name in ("busybox", "sh")}
    d.kill9()
    disk.cut()
    d.start()
    assert {c["Id"] for c in d.json("GET", "/containers/json?all=1")[1]} == set(made[:15]) | {d.json("GET", "/containers/filled/json")[1]["Id"]}
    assert d.json("GET", "/volumes") == volumes and d.json("GET", "/containers/filled/json")[1]["Mounts"] == mounts
    assert {name: os.path.getsize(d.data + "/volumes/named/_data/" + name) for name in filled} == filled
    assert all(os.path.isdir(v["Mountpoint"]) for v in volumes[1]["Volumes"])
    assert d.json("GET", "/images/kept/again:v1/json")[1]["Id"] == image
    assert d.out("start", "-a", "c3") == "whole"
    assert d.out("run", "--rm", "kept/again:v1", "sh", "-c", "ls /bin | wc -l; echo ran").endswith("ran")
    finish(d)


def test_power_cuts_at_any_moment(on_disk):
    """F11: a start always succeeds, and whatever had been answered before the cut is there after it."""
    disk, d = on_disk()
    d.start()
    d.load_busybox()
    kept = []
    for cut in range(5):
        stop = threading.Event()
        made = []

        def create(n):
            i = 0
            while not stop.is_set():
                try:
                    status, answer = d.json("POST", "/containers/create?name=p%d-%d-%d" % (cut, n, i), {"Image": "busybox", "Cmd": ["true"]})
                except OSError:
                    return
                if status == 201:
                    made.append(answer["Id"])
                i += 1

        workers = [threading.Thread(target=create, args=(n,)) for n in range(3)]
        for w in workers:
            w.start()
        assert until(lambda: len(made) > 5 * (cut + 1))
        answered = list(made)
        d.kill9()
        disk.cut()
        stop.set()
        for w in workers:
            w.join(30)
        kept += answered
        d.start()
        listed = {c["Id"] for c in d.json("GET", "/containers/json?all=1")[1]}
        assert set(kept) <= listed
    assert d.out("run", "--rm", "busybox", "echo", "still") == "still"
    finish(d)


def big_tar(mib):
    """A tar with one file that does not compress."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("filler")
        info.size = mib * MIB
        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    return out.getvalue()


def no_space(status, said):
    return status == 500 and b"no space left on device" in said.lower()


def test_a_full_disk(on_disk):
    """F15: what needs room says so; reading, stopping and removing go on; room given back is used again."""
    disk, d = on_disk(mib=48)
    d.start()
    d.load_busybox()
    d.docker("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
    filler = os.path.join(disk.at, "filler")
    with open(filler, "wb") as f:
        free = os.statvfs(disk.at)
        f.write(os.urandom(free.f_bavail * free.f_frsize - 3 * MIB))
    status, said, _ = d.api("POST", "/images/create?fromSrc=-&repo=big", big_tar(12), {"Content-Type": "application/x-tar"})
    assert no_space(status, said), (status, said)
    with open(filler, "ab", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass
    status, said, _ = d.api("POST", "/containers/create?name=nowhere", {"Image": "busybox", "Cmd": ["true"]})
    assert status == 201 or no_space(status, said), (status, said)
    assert [c["Names"] for c in d.json("GET", "/containers/json")[1]] == [["/runs"]]
    assert d.json("GET", "/containers/runs/json")[1]["State"]["Status"] == "running"
    assert d.json("GET", "/images/json")[0] == 200
    assert d.api("POST", "/containers/runs/stop?t=1")[0] == 204
    assert d.json("GET", "/containers/runs/json")[1]["State"]["Status"] == "exited"
    os.unlink(filler)
    assert until(lambda: d.docker("run", "--rm", "busybox", "echo", "room", check=False).stdout == "room\n")
    for name in ("runs", "nowhere"):
        d.docker("rm", "-f", name, check=False)
    assert d.json("GET", "/containers/json?all=1")[1] == []
    d.stop()
    d.start()  # and nothing of it was half written
    assert d.json("GET", "/containers/json?all=1")[1] == []
    assert d.json("GET", "/images/busybox/json")[0] == 200
    assert not [n for n in os.listdir(d.data) if "corrupt" in n]
    finish(d)


def test_a_full_disk_does_not_stop_a_container(on_disk):
    """F15: the log loses lines, the program goes on; later lines are there again."""
    disk, d = on_disk(mib=48)
    d.start()
    d.load_busybox()
    d.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c",
             "i=0; while true; do i=$((i+1)); echo line $i; echo $i >/dev/shm/at; sleep 0.01; done")
    at = lambda: int(d.out("exec", "talks", "cat", "/dev/shm/at") or 0)
    filler = os.path.join(disk.at, "filler")
    with open(filler, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(65536))
        except OSError:
            pass
    before = at()
    assert until(lambda: at() > before + 50)
    os.unlink(filler)
    freed = at()
    assert until(lambda: ("line %d\n" % (freed + 20)) in d.docker("logs", "talks").stdout)
    finish(d)


def test_a_slow_disk(on_disk):
    """F20: two seconds for every sync hold up what must be durable, and nothing else."""
    _, d = on_disk()
    d.start()
    d.load_busybox()
    d.docker("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
    tracer = subprocess.Popen(["strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e",
                               "inject=fdatasync,fsync:delay_enter=2000000", "-p", str(d.process.pid)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: "TracerPid:\t0" not in open("/proc/%d/status" % d.process.pid).read())
        answers = []
        slow = threading.Thread(target=lambda: answers.append(d.json("POST", "/containers/create?name=slow", {"Image": "busybox", "Cmd": ["true"]})))
        slow.start()
        begun = time.monotonic()
        reads = 0
        while slow.is_alive() and time.monotonic() - begun < 30:
            assert d.api("GET", "/_ping")[0] == 200
            assert d.json("GET", "/containers/runs/json")[1]["State"]["Running"]
            assert d.json("GET", "/containers/json")[0] == 200
            reads += 1
        slow.join(60)
        assert answers[0][0] == 201
        assert reads > 20  # many rounds of reads while one create waited for its sync
        assert d.api("POST", "/containers/runs/kill")[0] == 204
    finally:
        tracer.terminate()
        tracer.wait()
    finish(d)
