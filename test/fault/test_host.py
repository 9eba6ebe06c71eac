"""The host is unkind: descriptors run out, the daemon is frozen, everything happens at once, somebody holds on to our mounts."""
import concurrent.futures
import itertools
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import until


@pytest.fixture
def up(fresh):
    fresh.start()
    fresh.load_busybox()
    return fresh


def state(d, cid):
    return d.json("GET", "/containers/%s/json" % cid)[1]["State"]


def finish(d):
    ids = d.out("ps", "-aq", "--no-trunc").split()
    if ids:
        d.docker("rm", "-f", *ids, timeout=180)
    assert until(lambda: not d.links()), d.links()
    assert d.stop() == 0
    assert not d.leftovers()
    assert "Sanitizer" not in d.log_text() and "runtime error" not in d.log_text(), d.log_text()


def test_hundred_idle_containers_are_found_again(up):
    """F01: five times killed, all are there with the same pids."""
    def run(n):
        status, made = up.json("POST", "/containers/create?name=idle%d" % n, {"Image": "busybox", "Cmd": ["sleep", "1000"],
                                                                              "HostConfig": {"NetworkMode": "none"}})
        assert status == 201 and up.api("POST", "/containers/%s/start" % made["Id"])[0] == 204
        return made["Id"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(run, range(100)))
    pids = {cid: state(up, cid)["Pid"] for cid in made}
    for _ in range(5):
        up.kill9()
        up.start()
        assert {c["Id"] for c in up.json("GET", "/containers/json")[1]} == set(made)
        assert {cid: state(up, cid)["Pid"] for cid in made} == pids
    finish(up)


def test_frozen_daemon(up):
    """F45: containers run and log on; once it thaws, what ended meanwhile is told, with its own time."""
    up.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", "i=0; while true; do echo $i; i=$((i+1)); sleep 0.02; done")
    ends = up.out("run", "-d", "busybox", "sh", "-c", "sleep 0.5; exit 7")
    pid = state(up, ends)["Pid"]
    up.process.send_signal(signal.SIGSTOP)
    try:
        assert until(lambda: not os.path.exists("/proc/%d" % pid))
        time.sleep(2)
    finally:
        up.process.send_signal(signal.SIGCONT)
    assert until(lambda: state(up, ends)["Status"] == "exited")
    assert state(up, ends)["ExitCode"] == 7
    lines = [int(line) for line in up.out("logs", "talks").split()]
    assert lines == list(range(len(lines))) and len(lines) > 50
    finish(up)


def test_descriptors_run_out(up):
    """F40: a start that cannot have them says so and leaves nothing; streams go on; given more, it works again."""
    up.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", "while true; do echo tick; sleep 0.1; done")
    follow = subprocess.Popen(["docker", "logs", "-f", "--tail", "0", "talks"], env=up.env, stdout=subprocess.PIPE)
    assert follow.stdout.readline() == b"tick\n"
    used = len(os.listdir("/proc/%d/fd" % up.process.pid))
    before = resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE)
    clients = []
    try:
        resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE, (used + 8, before[1]))
        for _ in range(200):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(5)
            try:
                client.connect(up.socket)
            except OSError:
                client.close()
                break
            clients.append(client)
        assert follow.stdout.readline() == b"tick\n"
        spent = lambda: sum(map(int, open("/proc/%d/stat" % up.process.pid).read().rsplit(")")[-1].split()[11:13]))
        begun = spent()
        time.sleep(1)
        assert spent() - begun < 50  # hundredths of a second: it does not spin
        assert follow.stdout.readline() == b"tick\n"
    finally:
        for client in clients:
            client.close()
        resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE, before)
    assert until(lambda: up.docker("run", "--rm", "busybox", "echo", "again", check=False).stdout == "again\n")
    assert follow.stdout.readline() == b"tick\n"
    follow.kill()
    follow.wait()
    follow.stdout.close()
    finish(up)


def test_a_start_without_descriptors_is_rolled_back(up):
    """F40: the daemon has a few left, but not as many as a start takes."""
    cid = up.out("create", "busybox", "sleep", "1000")
    before = resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/%d/fd" % up.process.pid))) + 1
    failed = 0
    for room in range(1, 24):
        resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE, (used + room, before[1]))
        try:
            status = up.api("POST", "/containers/%s/start" % cid)[0]
        except OSError:
            status = 0  # not even a connection
        finally:
            resource.prlimit(up.process.pid, resource.RLIMIT_NOFILE, before)
        assert status in (0, 204, 304, 500, 503)
        failed += status == 500
        if status in (204, 304):
            up.docker("rm", "-f", cid)
            cid = up.out("create", "busybox", "sleep", "1000")
        assert until(lambda: not up.links()), up.links()
    assert failed
    assert up.api("POST", "/containers/%s/start" % cid)[0] == 204
    finish(up)


def test_leftovers_of_a_crash_are_swept(up):
    """F33: mounts, namespaces and directories that nobody owns any more go; containers of a lost /run are exited."""
    cid = up.out("run", "-d", "--name", "was", "busybox", "sleep", "1000")
    inside = state(up, cid)["Pid"]
    up.kill9()
    for pid, line in up.processes():
        if b"berth-monitor" in line:
            os.kill(pid, signal.SIGKILL)
    os.kill(inside, signal.SIGKILL)
    ghost = os.path.join(up.data, "containers", "f" * 64)
    os.makedirs(os.path.join(ghost, "merged"))
    subprocess.run(["mount", "-t", "tmpfs", "ghost", os.path.join(ghost, "merged")], check=True)
    for line in reversed(up.mounts()):
        at = line.split()[4]
        if at.startswith(up.run):
            subprocess.run(["umount", "-l", at], check=True)
    shutil.rmtree(up.run)  # a reboot
    up.start()
    assert not os.path.exists(ghost)
    assert until(lambda: state(up, cid)["Status"] == "exited")
    assert not [m for m in up.mounts() if "ghost" in m]
    up.docker("start", "was")
    assert state(up, cid)["Running"]
    finish(up)


def test_somebody_holds_the_mount(up):
    """F34: a process whose directory is inside does not hold up the removal; its space goes when it does."""
    cid = up.out("run", "-d", "busybox", "sleep", "1000")
    merged = os.path.join(up.data, "containers", cid, "merged")
    holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sleep", "1000"], cwd=merged)
    try:
        assert until(lambda: os.readlink("/proc/%d/cwd" % holder.pid).startswith(merged))
        up.docker("rm", "-f", cid)
        assert up.json("GET", "/containers/json?all=1")[1] == []
        assert up.out("run", "--rm", "busybox", "echo", "goes on") == "goes on"
    finally:
        holder.kill()
        holder.wait()
    finish(up)


RACES = {
    "stop": ("POST", "/containers/%s/stop?t=0", (204, 304, 404, 409)),
    "kill": ("POST", "/containers/%s/kill", (204, 404, 409)),
    "start": ("POST", "/containers/%s/start", (204, 304, 404, 409)),
    "restart": ("POST", "/containers/%s/restart?t=0", (204, 404, 409)),
    "rm": ("DELETE", "/containers/%s?force=1", (204, 404, 409)),
    "rename": ("POST", "/containers/%s/rename?name=r{n}", (204, 400, 404, 409)),
    "pause": ("POST", "/containers/%s/pause", (204, 404, 409)),
    "exec": ("POST", "/containers/%s/exec", (201, 404, 409)),
    "inspect": ("GET", "/containers/%s/json", (200, 404)),
}


def test_everything_at_once(up):
    """F73: any two operations on a container that ends by itself: defined answers, nothing hangs, nothing is left."""
    counter = itertools.count()

    def race(pair):
        n = next(counter)
        status, made = up.json("POST", "/containers/create?name=race%d" % n, {"Image": "busybox", "Cmd": ["sleep", "0.%02d" % (n % 10)],
                                                                              "HostConfig": {"NetworkMode": "none"}})
        assert status == 201
        cid = made["Id"]
        assert up.api("POST", "/containers/%s/start" % cid)[0] == 204
        said = {}

        def ask(name):
            method, path, _ = RACES[name]
            body = {"Cmd": ["true"]} if name == "exec" else None
            said[name] = up.api(method, (path % cid).format(n=n), body, {"Content-Type": "application/json"} if body else None)

        both = [threading.Thread(target=ask, args=(name,)) for name in pair]
        for t in both:
            t.start()
        for t in both:
            t.join(60)
        for name in pair:
            assert name in said, "%s beside %s hangs" % (name, pair)
            allowed = RACES[name][2]
            assert said[name][0] in allowed, (pair, name, said[name])
        assert up.api("DELETE", "/containers/%s?force=1" % cid)[0] in (204, 404, 409)

    pairs = list(itertools.combinations(RACES, 2)) * 3
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(race, pairs))
    assert until(lambda: up.json("GET", "/containers/json?all=1")[1] == [])
    assert until(lambda: not up.processes())
    finish(up)
