"""Pause, rename, update, top, prune and sizes: what dockerd's clients do with a container that is there."""
import json
import os
import time

import docker as docker_py
import pytest

from conftest import until


def inspect(d, name):
    return d.json("GET", "/containers/%s/json" % name)[1]


def message(answer):
    return answer[0], json.loads(answer[1])["message"]


def post(d, path, body=None):
    return d.api("POST", path, body)


@pytest.fixture
def sleeper(berthd):
    cid = berthd.out("run", "-d", "--name", "sleeper", "busybox", "sleep", "1000")
    yield cid
    berthd.docker("rm", "-f", cid)


def test_pause_and_unpause(berthd, sleeper):
    counter = berthd.out("run", "-d", "busybox", "sh", "-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.01; done")
    lines = lambda: len(berthd.out("logs", counter).split())
    assert until(lambda: lines() > 3)
    berthd.docker("pause", counter)
    state = inspect(berthd, counter)["State"]
    assert (state["Status"], state["Running"], state["Paused"]) == ("paused", True, True)
    assert "(Paused)" in berthd.out("ps", "--format", "{{.Status}}", "-f", "id=" + counter)
    assert berthd.out("ps", "-q", "--no-trunc", "-f", "status=paused") == counter
    info = berthd.json("GET", "/info")[1]
    assert info["ContainersPaused"] == 1 and info["ContainersRunning"] == 1
    before = lines()
    assert not until(lambda: lines() > before + 1, 0.3)
    assert message(post(berthd, "/containers/%s/pause" % counter)) == (409, "Container %s is already paused" % counter)
    assert message(post(berthd, "/containers/%s/start" % counter)) == (409, "cannot start a paused container, try unpause instead")
    assert message(post(berthd, "/containers/%s/exec" % counter, {"Cmd": ["true"]})) == \
        (409, "Container %s is paused, unpause the container before exec" % counter)
    assert message(post(berthd, "/containers/%s/attach?stream=1&stdout=1" % counter))[0] == 409
    status, text = message(berthd.api("DELETE", "/containers/" + counter))
    assert status == 409 and text.endswith("container is paused and must be unpaused first")
    berthd.docker("unpause", counter)
    assert until(lambda: lines() > before + 5)
    assert message(post(berthd, "/containers/%s/unpause" % counter)) == (500, "Container %s is not paused" % counter)
    made = berthd.out("create", "busybox", "true")
    assert message(post(berthd, "/containers/%s/pause" % made)) == (409, "container %s is not running" % made)
    assert post(berthd, "/containers/nobody/pause")[0] == 404
    berthd.docker("rm", "-f", counter, made)


@pytest.mark.parametrize("end", [["stop", "-t", "5"], ["kill"], ["kill", "-s", "TERM"], ["rm", "-f"], ["restart", "-t", "5"]])
def test_what_is_paused_can_be_ended(berthd, end):
    cid = berthd.out("run", "-d", "busybox", "sh", "-c", "trap 'exit 5' TERM; while true; do sleep 0.05; done")
    until(lambda: False, 0.2)
    berthd.docker("pause", cid)
    berthd.docker(*end, cid)
    if end[0] == "rm":
        assert berthd.api("GET", "/containers/%s/json" % cid)[0] == 404
        return
    if end[0] == "restart":
        assert inspect(berthd, cid)["State"]["Status"] == "running"
    else:
        assert until(lambda: inspect(berthd, cid)["State"]["Status"] == "exited")
        assert inspect(berthd, cid)["State"]["ExitCode"] == (137 if end == ["kill"] else 5)
    berthd.docker("rm", "-f", cid)


def test_a_new_daemon_finds_it_paused(fresh):
    fresh.start()
    fresh.load_busybox()
    paused = fresh.out("run", "-d", "busybox", "sleep", "1000")
    thawed = fresh.out("run", "-d", "busybox", "sleep", "1000")
    fresh.docker("pause", paused, thawed)
    fresh.docker("unpause", thawed)
    fresh.kill9()
    fresh.start()
    assert inspect(fresh, paused)["State"]["Status"] == "paused"
    assert inspect(fresh, thawed)["State"]["Status"] == "running"
    fresh.docker("unpause", paused)
    assert fresh.out("exec", paused, "echo", "moves") == "moves"
    fresh.docker("rm", "-f", paused, thawed)


def test_rename(fresh):
    fresh.start()
    fresh.load_busybox()
    cid = fresh.out("create", "--name", "first", "busybox", "true")
    other = fresh.out("create", "--name", "taken", "busybox", "true")
    fresh.docker("rename", "first", "second")
    assert inspect(fresh, "second")["Id"] == cid and inspect(fresh, cid)["Name"] == "/second"
    assert fresh.api("GET", "/containers/first/json")[0] == 404
    rename = lambda name: message(post(fresh, "/containers/second/rename" + name))
    assert rename("") == (400, "Neither old nor new names may be empty")
    assert rename("?name=second") == (400, "Renaming a container with the same name as its current name")
    status, text = rename("?name=taken")
    assert status == 409 and text.startswith('Error when allocating new name: Conflict. The container name "/taken" is already '
                                             'in use by container "%s"' % other)
    status, text = rename("?name=.bad")
    assert status == 400 and text.startswith("Error when allocating new name: Invalid container name (")
    assert fresh.api("POST", "/containers/nobody/rename?name=x1")[0] == 404
    assert fresh.api("POST", "/containers/second/rename?name=/third")[0] == 204
    fresh.out("create", "--name", "first", "busybox", "true")  # it is free again
    fresh.kill9()
    fresh.start()
    assert inspect(fresh, "third")["Id"] == cid
    fresh.docker("rm", "first", "third", "taken")


def cgroup_value(controller, cid, name):
    with open("/sys/fs/cgroup/%s/docker/%s/%s" % (controller, cid, name)) as f:
        return f.read().strip()


def test_update_changes_a_running_container(berthd, sleeper):
    update = lambda body: post(berthd, "/containers/sleeper/update", body)
    berthd.docker("update", "--memory", "64m", "--memory-swap", "128m", "--cpu-shares", "300", "--pids-limit", "50", "sleeper")
    host = inspect(berthd, sleeper)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["CpuShares"], host["PidsLimit"]) == (64 << 20, 128 << 20, 300, 50)
    if os.path.isdir("/sys/fs/cgroup/memory"):
        assert cgroup_value("memory", sleeper, "memory.limit_in_bytes") == str(64 << 20)
        assert cgroup_value("cpu", sleeper, "cpu.shares") == "300"
        assert cgroup_value("pids", sleeper, "pids.max") == "50"
    assert update({"CpusetCpus": "0"})[0] == 200
    assert inspect(berthd, sleeper)["HostConfig"]["CpusetCpus"] == "0"
    assert update({}) [0] == 200
    assert inspect(berthd, sleeper)["HostConfig"]["Memory"] == 64 << 20
    assert update({"PidsLimit": -1})[0] == 200
    if os.path.isdir("/sys/fs/cgroup/pids"):
        assert int(cgroup_value("pids", sleeper, "pids.max")) >= 4194304


def test_update_refuses_what_dockerd_refuses(berthd, sleeper):
    update = lambda body: message(post(berthd, "/containers/sleeper/update", body))
    prefix = "Cannot update container %s: " % sleeper
    assert update({"Memory": 1}) == (400, "Minimum memory limit allowed is 6MB")
    assert update({"Memory": 64 << 20}) == (409, prefix + "Memory limit should be smaller than already set memoryswap limit, "
                                                          "update the memoryswap at the same time")
    assert update({"NanoCpus": 1000000000, "CpuPeriod": 1000}) == \
        (400, "Conflicting options: Nano CPUs and CPU Period cannot both be set")
    assert update({"CpusetCpus": "7777"})[0] == 400
    assert update({"CpusetCpus": "7777"})[1].startswith("Requested CPUs are not available - requested 7777, available: ")
    assert post(berthd, "/containers/sleeper/update", {"NanoCpus": 500000000})[0] == 200
    assert update({"CpuQuota": 20000}) == \
        (409, prefix + "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
    assert post(berthd, "/containers/nobody/update", {})[0] == 404
    assert berthd.api("POST", "/containers/sleeper/update", "{}", {"Content-Type": "text/plain"})[0] == 400
    removed = berthd.out("run", "-d", "--rm", "busybox", "sleep", "1000")
    berthd.docker("rm", "-f", removed)


def test_update_is_all_or_nothing(fresh):
    """The runtime refuses: what it was before is what it is, in the kernel and in the record, also after a kill."""
    fake = os.path.join(fresh.root, "runtime")
    with open(fake, "w") as f:
        f.write("#!/bin/sh\ncase \"$*\" in *update*after*) echo 'no such limit' >&2; exit 1;; esac\n"
                "exec /usr/sbin/runc \"$@\"\n")
    os.chmod(fake, 0o755)
    fresh.start("--add-runtime", "picky=" + fake)
    fresh.load_busybox()
    cid = fresh.out("run", "-d", "--runtime", "picky", "busybox", "sleep", "1000")
    assert message(post(fresh, "/containers/%s/update" % cid, {"CpuShares": 99})) == \
        (500, "Cannot update container %s: no such limit" % cid)
    assert inspect(fresh, cid)["HostConfig"]["CpuShares"] == 0
    made = fresh.out("create", "busybox", "true")
    assert post(fresh, "/containers/%s/update" % made, {"CpuShares": 99})[0] == 200
    fresh.kill9()
    fresh.start()  # and that runtime is not configured any more
    assert inspect(fresh, cid)["HostConfig"]["CpuShares"] == 0
    assert inspect(fresh, made)["HostConfig"]["CpuShares"] == 99
    assert message(post(fresh, "/containers/%s/pause" % cid))[0] == 500
    fresh.docker("rm", "-f", cid, made)
    for controller in os.listdir("/sys/fs/cgroup"):
        left = "/sys/fs/cgroup/%s/docker/%s" % (controller, cid)
        if os.path.isdir(left):  # nobody was there to remove it
            os.rmdir(left)


def test_top(berthd, sleeper):
    pid = inspect(berthd, sleeper)["State"]["Pid"]
    top = lambda query="": berthd.json("GET", "/containers/sleeper/top" + query)
    status, answer = top()
    assert status == 200 and answer["Titles"][:3] == ["UID", "PID", "PPID"]
    assert len(answer["Processes"]) == 1
    assert answer["Processes"][0][1] == str(pid) and answer["Processes"][0][-1] == "sleep 1000"
    assert top("?ps_args=aux")[1]["Processes"][0][-1] == "sleep 1000"
    assert top("?ps_args=-o+pid,comm")[1] == {"Titles": ["PID", "COMMAND"], "Processes": [[str(pid), "sleep"]]}
    assert top("?ps_args=axf+-o+pid,comm")[0] == 200
    assert top("?ps_args=-o+comm") == (500, {"message": "Couldn't find PID field in ps output"})
    assert top("?ps_args=--nope")[0] == 500 and "option" in top("?ps_args=--nope")[1]["message"]
    assert top("?ps_args=-o+comm=PID")[1]["message"] == 'specifying "comm=PID" is not allowed'
    assert top("?ps_args=" + "x" * 5000)[0] == 400
    berthd.docker("exec", "-d", "sleeper", "sleep", "999")
    assert until(lambda: len(top()[1]["Processes"]) == 2)
    assert "sleep 999" in berthd.out("top", "sleeper")
    made = berthd.out("create", "busybox", "true")
    assert berthd.json("GET", "/containers/%s/top" % made) == (409, {"message": "container %s is not running" % made})
    assert berthd.api("GET", "/containers/nobody/top")[0] == 404
    berthd.docker("rm", made)


def test_sizes_and_prune(fresh):
    fresh.start()
    fresh.load_busybox()
    writes = fresh.out("run", "-d", "--label", "keep=no", "busybox", "sh", "-c", "head -c 1000000 /dev/zero >/big; ln /big /again")
    runs = fresh.out("run", "-d", "busybox", "sleep", "1000")
    other = fresh.out("create", "busybox", "true")
    assert until(lambda: inspect(fresh, writes)["State"]["Status"] == "exited")
    shown = fresh.json("GET", "/containers/%s/json?size=1" % writes)[1]
    assert shown["SizeRw"] == 1000000 and shown["SizeRootFs"] > 1500000
    listed = {c["Id"]: c for c in fresh.json("GET", "/containers/json?all=1&size=1")[1]}
    assert listed[writes]["SizeRw"] == 1000000 and "SizeRw" not in fresh.json("GET", "/containers/json?all=1")[1][0]
    assert "1MB (virtual" in fresh.out("ps", "-as", "-f", "id=" + writes, "--format", "{{.Size}}")
    prune = lambda f: fresh.json("POST", "/containers/prune?filters=" + f)
    assert prune("%7B%22foo%22:%5B%22x%22%5D%7D") == (400, {"message": "invalid filter 'foo'"})
    assert prune("%7B%22until%22:%5B%22x%22%5D%7D")[0] == 400
    assert prune("%7B%22label%22:%5B%22nothing%22%5D%7D") == (200, {"ContainersDeleted": None, "SpaceReclaimed": 0})
    assert prune("%7B%22until%22:%5B%2224h%22%5D%7D") == (200, {"ContainersDeleted": None, "SpaceReclaimed": 0})
    assert prune("%7B%22label%22:%5B%22keep=no%22%5D%7D") == (200, {"ContainersDeleted": [writes], "SpaceReclaimed": 1000000})
    assert "Total reclaimed space" in fresh.out("container", "prune", "-f")
    assert [c["Id"] for c in fresh.json("GET", "/containers/json?all=1")[1]] == [runs]
    assert other
    fresh.docker("rm", "-f", runs)


def test_events_of_operations(fresh):
    fresh.start()
    fresh.load_busybox()
    cid = fresh.out("create", "--name", "one", "busybox", "sleep", "1000")
    fresh.docker("start", "one")
    fresh.docker("pause", "one")
    fresh.docker("unpause", "one")
    fresh.docker("rename", "one", "two")
    fresh.docker("update", "--cpu-shares", "100", "two")
    fresh.docker("top", "two")
    fresh.docker("kill", "two")
    fresh.docker("container", "prune", "-f")
    _, text, _ = fresh.api("GET", "/events?since=1&until=%.6f&filters=%%7B%%22type%%22:%%5B%%22container%%22%%5D%%7D" % time.time())
    events = [json.loads(line) for line in text.splitlines()]
    actions = [e["Action"] for e in events]
    assert actions == ["create", "start", "pause", "unpause", "rename", "update", "top", "kill", "die", "destroy", "prune"]
    rename = next(e for e in events if e["Action"] == "rename")
    assert rename["Actor"]["Attributes"] == {"image": "busybox", "name": "two", "oldName": "/one"}
    assert events[-1]["Actor"]["Attributes"] == {"reclaimed": "0"} and rename["id"] == cid


def test_docker_py(berthd, sleeper):
    client = docker_py.DockerClient("unix://" + berthd.socket)
    c = client.containers.get(sleeper)
    c.pause()
    c.reload()
    assert c.status == "paused"
    c.unpause()
    c.rename("pythonic")
    assert client.containers.get("pythonic").id == sleeper
    c.update(cpu_shares=200)
    c.reload()
    assert c.attrs["HostConfig"]["CpuShares"] == 200
    assert c.top()["Processes"][0][-1] == "sleep 1000"
    assert client.containers.prune(filters={"label": "nobody-has-it"})["ContainersDeleted"] is None
    client.close()
