"""Health checks: states, log, events, time-outs, over pauses, restarts and the death of the daemon."""
import json
import os
import time

import docker as docker_py
import pytest

from conftest import until

MS = 1000000


def inspect(d, cid):
    return d.json("GET", "/containers/%s/json" % cid)[1]


def health(d, cid):
    return inspect(d, cid)["State"].get("Health")


def status(d, cid):
    return (health(d, cid) or {}).get("Status")


def run(d, check, *cmd, **host):
    body = {"Image": "busybox", "Cmd": list(cmd) or ["sleep", "1000"], "Healthcheck": check,
            "HostConfig": dict({"NetworkMode": "none"}, **host.pop("HostConfig", {}))}
    body.update(host)
    code, made = d.json("POST", "/containers/create", body)
    assert code == 201, made
    assert d.api("POST", "/containers/%s/start" % made["Id"])[0] == 204
    return made["Id"]


def quick(*test, **more):
    return dict({"Test": list(test), "Interval": 50 * MS, "Timeout": 5000 * MS, "Retries": 2}, **more)


@pytest.fixture(autouse=True)
def no_container_stays(request):
    yield
    if "berthd" in request.fixturenames:
        d = request.getfixturevalue("berthd")
        ids = d.out("ps", "-aq").split()
        if ids:
            d.docker("rm", "-f", *ids)


def test_healthy_then_not_then_again(berthd):
    cid = run(berthd, quick("CMD-SHELL", "cat /state; test ! -e /ill"), "sh", "-c", "echo fine >/state; sleep 1000")
    assert until(lambda: status(berthd, cid) == "healthy")
    assert "(healthy)" in berthd.out("ps", "--format", "{{.Status}}")
    assert berthd.out("ps", "-q", "--no-trunc", "-f", "health=healthy") == cid
    assert not berthd.out("ps", "-q", "-f", "health=none")
    berthd.docker("exec", cid, "sh", "-c", "echo bad >/state; touch /ill")
    assert until(lambda: status(berthd, cid) == "unhealthy")
    shown = health(berthd, cid)
    assert shown["FailingStreak"] >= 2
    last = shown["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (1, "bad\n") and last["Start"] < last["End"]
    berthd.docker("exec", cid, "rm", "/ill")
    assert until(lambda: status(berthd, cid) == "healthy")
    assert until(lambda: len(health(berthd, cid)["Log"]) == 5)
    assert health(berthd, cid)["FailingStreak"] == 0
    _, text, _ = berthd.api("GET", "/events?since=1&until=%.6f&filters=%%7B%%22container%%22:%%5B%%22%s%%22%%5D%%7D" % (time.time(), cid))
    events = [json.loads(line)["Action"] for line in text.splitlines()]
    assert [e for e in events if e.startswith("health_status")] == \
        ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]
    probes = [e for e in events if "/bin/sh -c cat /state" in e]
    assert probes[0].startswith("exec_create: ") and probes[1].startswith("exec_start: ") and "exec_die" in events
    berthd.docker("stop", "-t", "0", cid)
    assert status(berthd, cid) == "unhealthy"
    assert not [e for e in inspect(berthd, cid)["ExecIDs"] or []]


def test_starting_and_the_start_period(berthd):
    patient = run(berthd, quick("CMD", "false", StartPeriod=60000 * MS, StartInterval=20 * MS, Interval=60000 * MS))
    assert until(lambda: len(health(berthd, patient)["Log"]) == 5)
    assert status(berthd, patient) == "starting" and health(berthd, patient)["FailingStreak"] == 0
    assert "(health: starting)" in berthd.out("ps", "--format", "{{.Status}}")
    slow = run(berthd, {"Test": ["CMD", "true"]})
    assert health(berthd, slow) == {"Status": "starting", "FailingStreak": 0, "Log": []}


def test_what_a_probe_says_is_bounded(berthd):
    cid = run(berthd, quick("CMD-SHELL", "head -c 100000 /dev/zero | tr '\\0' x; echo err >&2"))
    assert until(lambda: status(berthd, cid) == "healthy")
    assert health(berthd, cid)["Log"][0]["Output"] == "x" * 4096 + "..."
    missing = run(berthd, quick("CMD", "/no/such/program"))
    assert until(lambda: status(berthd, missing) == "unhealthy")
    assert "no such file" in health(berthd, missing)["Log"][0]["Output"].lower()


def test_a_probe_that_hangs_is_killed(berthd):
    cid = run(berthd, quick("CMD-SHELL", "echo half; sleep 1000", Timeout=200 * MS, Retries=1))
    assert until(lambda: status(berthd, cid) == "unhealthy")
    entry = health(berthd, cid)["Log"][0]
    assert entry["ExitCode"] == -1 and entry["Output"] == "Health check exceeded timeout (200ms): half\n"
    assert until(lambda: len(berthd.json("GET", "/containers/%s/top" % cid)[1]["Processes"]) < 8)


def test_a_paused_container_is_not_probed(berthd):
    cid = run(berthd, quick("CMD", "true"))
    assert until(lambda: status(berthd, cid) == "healthy")
    berthd.docker("pause", cid)
    until(lambda: False, 0.3)
    before = health(berthd, cid)["Log"][-1]
    assert not until(lambda: health(berthd, cid)["Log"][-1] != before, 0.5)
    berthd.docker("unpause", cid)
    assert until(lambda: health(berthd, cid)["Log"][-1] != before)


def test_no_check_and_bad_checks(berthd):
    assert health(berthd, run(berthd, {"Test": ["NONE"]})) is None
    assert health(berthd, run(berthd, {"Test": []})) is None
    for check, text in (({"Test": ["CMD", "true"], "Interval": 5}, "Interval in Healthcheck cannot be less than 1ms"),
                        ({"Test": ["CMD", "true"], "Timeout": 5}, "Timeout in Healthcheck cannot be less than 1ms"),
                        ({"Test": ["CMD", "true"], "StartPeriod": 5}, "StartPeriod in Healthcheck cannot be less than 1ms"),
                        ({"Test": ["CMD", "true"], "Retries": -1}, "Retries in Healthcheck cannot be negative")):
        code, said = berthd.json("POST", "/containers/create", {"Image": "busybox", "Healthcheck": check})
        assert (code, said["message"]) == (400, text)


def test_the_images_check_and_the_cli(fresh):
    fresh.start()
    tar = fresh.load_busybox()
    fresh.docker("import", "-c", "HEALTHCHECK --interval=50ms --retries=1 CMD test ! -e /ill", "-c", 'CMD ["sleep", "1000"]', tar, "checked")
    cid = fresh.out("run", "-d", "checked")
    assert until(lambda: status(fresh, cid) == "healthy")
    assert inspect(fresh, cid)["Config"]["Healthcheck"]["Test"] == ["CMD-SHELL", "test ! -e /ill"]
    other = fresh.out("run", "-d", "--health-retries", "3", "checked")
    shown = inspect(fresh, other)["Config"]["Healthcheck"]
    assert (shown["Retries"], shown["Interval"], shown["Test"][1]) == (3, 50 * MS, "test ! -e /ill")
    assert health(fresh, fresh.out("run", "-d", "--no-healthcheck", "checked")) is None
    cli = fresh.out("run", "-d", "--health-cmd", "exit 0", "--health-interval", "50ms", "busybox", "sleep", "1000")
    assert until(lambda: status(fresh, cli) == "healthy")
    client = docker_py.DockerClient("unix://" + fresh.socket)
    assert client.containers.get(cli).attrs["State"]["Health"]["Status"] == "healthy"
    client.close()
    fresh.kill9()
    fresh.start()
    assert until(lambda: status(fresh, cid) == "healthy")  # a new daemon goes on with it
    fresh.docker("rm", "-f", *fresh.out("ps", "-aq").split())


def test_restart_on_unhealthy_only_when_asked(berthd):
    """An extension: the container's own label asks for it."""
    cmd = ("sh", "-c", "echo ran; sleep 1000")
    asked = run(berthd, quick("CMD", "false", Retries=1, Interval=200 * MS), *cmd, Labels={"berth.restart-on-unhealthy": "true"},
                StopSignal="SIGKILL")
    plain = run(berthd, quick("CMD", "false", Retries=1, Interval=200 * MS), *cmd)
    assert until(lambda: berthd.out("logs", asked).split().count("ran") >= 2)
    assert until(lambda: status(berthd, plain) == "unhealthy")
    assert berthd.out("logs", plain).split().count("ran") == 1


def test_many_probes_leave_nothing(berthd):
    cid = run(berthd, quick("CMD", "true", Interval=5 * MS))
    assert until(lambda: status(berthd, cid) == "healthy")
    run_dir = "%s/containers/%s" % (berthd.run, cid)

    until(lambda: False, 1)
    assert len([n for n in os.listdir(run_dir) if n.startswith("exec-")]) <= 1
    assert len(inspect(berthd, cid)["ExecIDs"] or []) <= 1
