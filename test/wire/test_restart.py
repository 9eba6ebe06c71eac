"""Restart policies: what comes back by itself, what stays down, over stops, kills and new daemons."""
import json
import time

import pytest

from conftest import until


def state(d, cid):
    return d.json("GET", "/containers/%s/json" % cid)[1]["State"]


def restarts(d, cid):
    return d.json("GET", "/containers/%s/json" % cid)[1]["RestartCount"]


def actions(d, cid):
    _, text, _ = d.api("GET", "/events?since=1&until=%.6f&filters=%%7B%%22container%%22:%%5B%%22%s%%22%%5D,%%22type%%22:%%5B"
                              "%%22container%%22%%5D%%7D" % (time.time(), cid))
    return [json.loads(line)["Action"] for line in text.splitlines()]


@pytest.fixture
def up(fresh):
    fresh.start()
    fresh.load_busybox()
    yield fresh
    if fresh.process:
        ids = fresh.out("ps", "-aq").split()
        if ids:
            fresh.docker("rm", "-f", *ids)


def test_on_failure_gives_up(up):
    cid = up.out("run", "-d", "--restart", "on-failure:2", "busybox", "false")
    assert until(lambda: state(up, cid)["Status"] == "exited" and restarts(up, cid) == 2)
    assert state(up, cid)["ExitCode"] == 1
    assert until(lambda: actions(up, cid).count("die") == 3)
    assert actions(up, cid) == ["create", "start", "die", "start", "die", "start", "die"]
    fine = up.out("run", "-d", "--restart", "on-failure", "busybox", "true")
    assert until(lambda: state(up, fine)["Status"] == "exited")
    assert restarts(up, fine) == 0
    up.docker("start", cid)  # by hand: everything from the beginning
    assert until(lambda: state(up, cid)["Status"] == "exited" and restarts(up, cid) == 2)


def test_always_comes_back_until_it_is_stopped(up):
    cid = up.out("run", "-d", "--restart", "always", "busybox", "sh", "-c", "echo ran; exit 3")
    assert until(lambda: restarts(up, cid) >= 3)
    assert up.out("logs", cid).split().count("ran") >= 3
    assert until(lambda: state(up, cid)["Status"] == "restarting")
    shown = state(up, cid)
    assert (shown["Running"], shown["Restarting"], shown["Pid"]) == (True, True, 0)
    assert up.out("ps", "--format", "{{.Status}}").startswith(("Restarting (3)", "Up"))
    up.docker("stop", cid)
    assert state(up, cid)["Status"] == "exited"
    before = restarts(up, cid)
    assert not until(lambda: state(up, cid)["Status"] != "exited", 1.2)
    assert restarts(up, cid) == before


def test_what_a_restarting_one_refuses(up):
    cid = up.out("run", "-d", "--restart", "always", "busybox", "false")
    assert until(lambda: restarts(up, cid) >= 4)  # by now it waits for 800 ms and more
    assert until(lambda: state(up, cid)["Status"] == "restarting")
    text = "Container %s is restarting, wait until the container is running" % cid
    said = lambda method, path, body=None: (lambda a: (a[0], json.loads(a[1])["message"]))(up.api(method, path, body))
    assert said("POST", "/containers/%s/pause" % cid) == (409, text)
    assert said("POST", "/containers/%s/exec" % cid, {"Cmd": ["true"]}) == (409, text)
    assert said("GET", "/containers/%s/top" % cid) == (409, text)
    assert up.api("POST", "/containers/%s/start" % cid)[0] == 304
    assert said("DELETE", "/containers/" + cid)[0] == 409 and "is restarting: stop the container" in said("DELETE", "/containers/" + cid)[1]
    assert up.api("POST", "/containers/%s/kill" % cid)[0] == 204
    assert state(up, cid)["Status"] == "exited"
    up.docker("rm", cid)


def test_a_kill_is_meant_another_signal_is_not(up):
    script = "trap 'exit 0' USR1; while true; do sleep 0.05; done"
    cid = up.out("run", "-d", "--restart", "always", "busybox", "sh", "-c", script)
    until(lambda: False, 0.2)
    up.docker("kill", "-s", "USR1", cid)
    assert until(lambda: restarts(up, cid) == 1 and state(up, cid)["Running"] and not state(up, cid)["Restarting"])
    up.docker("kill", cid)
    assert until(lambda: state(up, cid)["Status"] == "exited")
    assert not until(lambda: state(up, cid)["Status"] != "exited", 0.5)
    up.docker("start", cid)
    assert restarts(up, cid) == 0
    up.docker("rm", "-f", cid)


def test_remove_and_wait_while_restarting(up):
    cid = up.out("create", "--restart", "always", "busybox", "sh", "-c", "exit 7")
    up.docker("start", cid)
    status, said = up.json("POST", "/containers/%s/wait?condition=next-exit" % cid)
    assert (status, said["StatusCode"]) == (200, 7)
    up.docker("rm", "-f", cid)
    assert up.api("GET", "/containers/%s/json" % cid)[0] == 404
    assert not until(lambda: up.json("GET", "/containers/json?all=1")[1], 0.5)


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_new_daemon_brings_them_back(up, how):
    run = lambda policy, *cmd: up.out("run", "-d", "--stop-timeout", "1", "--restart", policy, "busybox", *cmd)
    always, stopped_always = run("always", "sleep", "1000"), run("always", "sleep", "1000")
    unless, stopped_unless = run("unless-stopped", "sleep", "1000"), run("unless-stopped", "sleep", "1000")
    ends = run("always", "sh", "-c", "sleep 0.7")
    none = run("no", "sleep", "1000")
    made = up.out("create", "--restart", "always", "busybox", "sleep", "1000")
    up.docker("stop", "-t", "0", stopped_always, stopped_unless)
    if how == "killed":
        up.kill9()
        time.sleep(1.2)  # one of them ends while no daemon is there
    else:
        up.stop()
    up.start()
    for cid in (always, stopped_always, unless):
        assert until(lambda: state(up, cid)["Status"] == "running"), cid
    assert until(lambda: state(up, ends)["Status"] in ("running", "restarting"))
    assert state(up, stopped_unless)["Status"] == "exited"
    assert state(up, made)["Status"] == "created"
    assert state(up, none)["Status"] == ("running" if how == "killed" else "exited")


def test_killed_while_it_waits(up):
    """The daemon dies in the middle of the back-off: the next one does not forget."""
    cid = up.out("run", "-d", "--restart", "on-failure", "busybox", "false")
    assert until(lambda: restarts(up, cid) >= 4 and state(up, cid)["Status"] == "restarting")
    up.kill9()
    up.start()
    before = state(up, cid)["StartedAt"]
    assert until(lambda: state(up, cid)["StartedAt"] != before)
    up.docker("stop", cid)
    assert state(up, cid)["Status"] == "exited"


def test_update_of_the_policy(up):
    cid = up.out("run", "-d", "busybox", "sleep", "1000")
    up.docker("update", "--restart", "always", cid)
    pid = state(up, cid)["Pid"]
    up.in_netns("kill", "-9", str(pid))
    assert until(lambda: restarts(up, cid) == 1 and state(up, cid)["Status"] == "running")
    up.docker("update", "--restart", "no", cid)
    up.in_netns("kill", "-9", str(state(up, cid)["Pid"]))
    assert until(lambda: state(up, cid)["Status"] == "exited")
    assert not until(lambda: state(up, cid)["Status"] != "exited", 0.5)
    status, said = up.json("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "maybe"}}})
    assert status == 400 and "unknown policy 'maybe'" in said["message"]
    status, said = up.json("POST", "/containers/create", {"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}})
    assert status == 400 and "maximum retry count can only be used with 'on-failure'" in said["message"]
