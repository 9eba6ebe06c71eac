"""Processes die: the daemon, a monitor, the runtime.  What was acknowledged stays true, and nothing is left."""
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time

import pytest


def until(what, seconds=10):
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)


@pytest.fixture
def up(fresh):
    fresh.start()
    fresh.load_busybox()
    return fresh


def states(d):
    return {c["Id"]: (c["State"]["Status"], c["State"]["Pid"], c["State"]["StartedAt"], c["State"]["ExitCode"])
            for c in (d.json("GET", "/containers/%s/json" % i["Id"])[1] for i in d.json("GET", "/containers/json?all=1")[1])}


def stop_clean(d):
    ids = d.out("ps", "-aq", "--no-trunc").split()
    if ids:
        d.docker("rm", "-f", *ids, timeout=180)
    assert until(lambda: not d.links()), d.links()
    assert d.stop() == 0
    assert not d.leftovers()
    assert "Sanitizer" not in d.log_text() and "runtime error" not in d.log_text(), d.log_text()


def test_killed_daemon_finds_everything_again(up):
    """F01: same containers, same pids; those that ended meanwhile tell their real end; logs and attach work."""
    for i in range(10):
        up.docker("run", "-d", "--name", "idle%d" % i, "busybox", "sleep", "1000")
    up.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", "i=0; while true; do echo $i; i=$((i+1)); sleep 0.05; done")
    up.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 1.5; exit 42")
    up.docker("create", "--name", "made", "busybox", "true")
    before = states(up)
    up.kill9()
    time.sleep(2.5)
    begun = time.monotonic()
    up.start()
    assert time.monotonic() - begun < 10
    after = states(up)
    ended = up.json("GET", "/containers/ends/json")[1]
    assert set(before) == set(after)
    for cid in before:
        if cid != ended["Id"]:
            assert before[cid] == after[cid]
    assert (ended["State"]["Status"], ended["State"]["ExitCode"]) == ("exited", 42)
    lines = [int(line) for line in up.out("logs", "talks").split()]
    assert lines == list(range(len(lines))) and len(lines) > 40, "the log has a hole"
    attached = subprocess.Popen(["docker", "attach", "--no-stdin", "talks"], env=up.env, stdout=subprocess.PIPE)
    assert attached.stdout.readline()
    attached.kill()
    attached.wait()
    attached.stdout.close()
    assert up.out("exec", "talks", "echo", "still here") == "still here"
    up.docker("stop", "-t", "1", "idle0")
    stop_clean(up)


def test_killed_under_load_twenty_times(up):
    """No impossible state: what was answered is there, and every name works again."""
    stop = threading.Event()
    made = set()
    lock = threading.Lock()

    def worker(n):
        i = 0
        while not stop.is_set():
            i += 1
            name = "w%d-%d" % (n, i)
            try:
                status, answer = up.json("POST", "/containers/create?name=" + name,
                                         {"Image": "busybox", "Cmd": ["sh", "-c", "sleep 0.0%d" % random.randint(0, 9)],
                                          "HostConfig": {"NetworkMode": random.choice(["none", "bridge"])}})
                if status == 201:
                    with lock:
                        made.add(answer["Id"])
                    up.api("POST", "/containers/%s/start" % answer["Id"])
                    if random.random() < 0.5:
                        up.api("POST", "/containers/%s/wait" % answer["Id"])
                        with lock:
                            made.discard(answer["Id"])
                        up.api("DELETE", "/containers/%s?force=1" % answer["Id"])
            except Exception:
                time.sleep(0.02)

    workers = [threading.Thread(target=worker, args=(n,)) for n in range(4)]
    for w in workers:
        w.start()
    try:
        for _ in range(20):
            time.sleep(random.uniform(0.2, 0.8))
            up.kill9()
            up.start()
    finally:
        stop.set()
        for w in workers:
            w.join(40)
    listed = {c["Id"] for c in up.json("GET", "/containers/json?all=1")[1]}
    assert made <= listed
    running = lambda: any(state[0] == "running" for state in states(up).values())
    assert until(lambda: not running(), 20)  # nothing that was started sleeps for longer than a tenth of a second
    for cid, (status, pid, _started, _code) in states(up).items():
        assert status in ("created", "exited")
        assert pid == 0
    stop_clean(up)


def monitor_of(d, cid):
    return next(pid for pid, line in d.processes() if cid.encode() in line and b"berth-monitor" in line)


def test_killed_monitor(up):
    """F07: the container goes with its monitor, says so, and can be removed."""
    cid = up.out("run", "-d", "busybox", "sleep", "1000")
    pid = up.json("GET", "/containers/%s/json" % cid)[1]["State"]["Pid"]
    os.kill(monitor_of(up, cid), signal.SIGKILL)
    assert until(lambda: up.json("GET", "/containers/%s/json" % cid)[1]["State"]["Status"] == "exited")
    assert up.json("GET", "/containers/%s/json" % cid)[1]["State"]["ExitCode"] == 137
    dead = lambda: not os.path.exists("/proc/%d" % pid) or "Z" in open("/proc/%d/stat" % pid).read().split(")")[1].split()[0]
    assert until(dead)
    up.docker("rm", cid)
    stop_clean(up)


def test_killed_monitor_and_daemon(up):
    """F08: nobody is left who knows; the next daemon ends what it finds."""
    cid = up.out("run", "-d", "busybox", "sleep", "1000")
    pid = up.json("GET", "/containers/%s/json" % cid)[1]["State"]["Pid"]
    monitor = monitor_of(up, cid)
    up.kill9()
    os.kill(monitor, signal.SIGKILL)
    up.start()
    assert until(lambda: up.json("GET", "/containers/%s/json" % cid)[1]["State"]["Status"] == "exited")
    dead = lambda: not os.path.exists("/proc/%d" % pid) or "Z" in open("/proc/%d/stat" % pid).read().split(")")[1].split()[0]
    assert until(dead)
    up.docker("start", cid)
    assert up.out("inspect", cid, "-f", "{{.State.Status}}") == "running"
    stop_clean(up)


FAKES = {
    "fails": "echo 'it went wrong' >&2; exit 1",
    "dies": "kill -9 $$",
    "shouts": "head -c 50000000 /dev/zero | tr '\\0' x >&2; exit 1",
    "hangs": "exec sleep 60",
}


@pytest.mark.parametrize("how", sorted(FAKES))
def test_broken_runtime(fresh, how):
    """F09: the start fails with the runtime's words, bounded, and everything is rolled back."""
    path = os.path.join(fresh.root, "runtime")
    with open(path, "w") as f:
        f.write("#!/bin/sh\ncase \"$*\" in *--version*) echo fake 1.0; exit 0;; *delete*) exit 0;; esac\n%s\n" % FAKES[how])
    os.chmod(path, 0o755)
    fresh.start("--add-runtime", "fake=" + path)
    fresh.load_busybox()
    status, answer = fresh.json("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                                               "HostConfig": {"Runtime": "fake"}})
    assert status == 201
    status, said = fresh.json("POST", "/containers/%s/start" % answer["Id"])
    assert status in (400, 500)
    assert len(said["message"]) < 5000
    if how == "fails":
        assert "it went wrong" in said["message"]
    shown = fresh.json("GET", "/containers/%s/json" % answer["Id"])[1]["State"]
    assert shown["Status"] == "created" and shown["Error"]
    assert until(lambda: not fresh.links())
    assert until(lambda: not fresh.processes())
    fresh.docker("rm", answer["Id"])
    stop_clean(fresh)


def test_second_daemon_is_refused(up):
    """F25"""
    second = subprocess.run([os.environ.get("BERTHD", "build/dev/berthd"), "-H", "unix://%s/other.sock" % up.root, "--data-root",
                             up.data, "--exec-root", up.run, "--pidfile", up.root + "/other.pid", "--config-file",
                             up.root + "/daemon.json"], capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "another berthd uses the data root" in second.stderr
    assert up.out("ps") is not None
    stop_clean(up)


def test_stale_pidfile_of_another_process(fresh):
    """F30: a number that now belongs to somebody else does not stop a start."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        os.makedirs(fresh.run, exist_ok=True)
        with open(os.path.join(fresh.run, "berthd.pid"), "w") as f:
            f.write(str(other.pid))
        fresh.start()
        assert fresh.stop() == 0
    finally:
        other.kill()
        other.wait()


def test_corrupt_state_is_set_aside(up):
    """F22: random bytes in the database are reported and kept, and the daemon answers."""
    up.stop()
    path = os.path.join(up.data, "state.db")
    with open(path, "r+b") as f:
        f.seek(0)
        f.write(os.urandom(8192))
    up.start()
    assert "corrupt" in up.log_text()
    assert [n for n in os.listdir(up.data) if n.startswith("state.db.corrupt-")]
    assert up.json("GET", "/containers/json?all=1") == (200, [])
    stop_clean(up)


def rows(d):
    """How many containers, states and endpoints the database of a stopped daemon holds."""
    db = sqlite3.connect(os.path.join(d.data, "state.db"))
    try:
        return [db.execute("SELECT count(*) FROM " + table).fetchone()[0]
                for table in ("containers", "container_state", "endpoints")]
    finally:
        db.close()


def test_thousand_cycles_leave_nothing(up):
    """Descriptors, mounts, links, cgroups, processes and rows are as before."""
    cycles = int(os.environ.get("BERTH_CYCLES", "1000"))
    ids = []

    def census():
        return len(os.listdir("/proc/%d/fd" % up.process.pid)), len(up.mounts()), up.links(), up.processes()

    def cycle(network):
        status, answer = up.json("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"],
                                                                "HostConfig": {"NetworkMode": network}})
        assert status == 201, answer
        cid = answer["Id"]
        ids.append(cid)
        assert up.api("POST", "/containers/%s/start" % cid)[0] == 204
        assert up.json("POST", "/containers/%s/wait" % cid) == (200, {"StatusCode": 0})
        assert up.api("DELETE", "/containers/%s" % cid)[0] == 204

    for network in ("bridge", "none", "bridge", "none"):
        cycle(network)
    assert until(lambda: not up.links())
    before = census()
    for i in range(cycles):
        cycle("bridge" if i % 2 else "none")
    assert until(lambda: census() == before), (before, census())
    assert not os.listdir(os.path.join(up.data, "containers"))
    assert not os.listdir(os.path.join(up.run, "containers"))
    assert not os.listdir(os.path.join(up.run, "netns"))
    up.seen = ids
    assert not up.cgroups()
    stop_clean(up)
    assert rows(up) == [0, 0, 0]
