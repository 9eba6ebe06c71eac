"""`docker run` and what belongs to a container's life, by the unmodified docker CLI."""
import hashlib
import json
import os
import subprocess
import time

import pexpect
import pytest

from conftest import until

CLIS = ["docker"] + ([os.environ["BERTH_DOCKER_20"]] if os.environ.get("BERTH_DOCKER_20") else [])


@pytest.fixture(params=CLIS, ids=["newest", "20.10"][: len(CLIS)])
def cli(request, berthd):
    def run(*args, **kw):
        return berthd.docker(*args, binary=request.param, **kw)

    return run


def test_echo(cli):
    assert cli("run", "--rm", "busybox", "echo", "hi").stdout == "hi\n"


def test_streams_are_apart(cli):
    done = cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("command,code", [(["sh", "-c", "exit 3"], 3), (["nosuchcommand"], 127), (["/etc"], 126),
                                          (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137)])
def test_exit_codes(cli, command, code):
    assert cli("run", "--rm", "busybox", *command, check=False).returncode == code


def test_missing_image_is_125(cli):
    done = cli("run", "--rm", "nosuchimage", "true", check=False)
    assert done.returncode == 125
    assert "Unable to find image 'nosuchimage:latest' locally" in done.stderr


def test_cat_returns_every_byte(berthd):
    data = os.urandom(1 << 20) * 200
    done = berthd.docker("run", "-i", "--rm", "--network", "none", "busybox", "cat", input=data, text=False, timeout=240)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_memory_limit_is_seen(cli):
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert cli("run", "--rm", "--memory", "64m", "busybox", "sh", "-c", script).stdout.strip() == "67108864"


def test_user(cli):
    assert cli("run", "--rm", "--user", "1000:1000", "busybox", "id").stdout == "uid=1000 gid=1000 groups=1000\n"


def test_unknown_user(cli):
    done = cli("run", "--rm", "--user", "nobodyhere", "busybox", "id", check=False)
    assert done.returncode != 0
    assert "unable to find user nobodyhere: no matching entries in passwd file" in done.stderr


def test_read_only_with_tmpfs(cli):
    done = cli("run", "--rm", "--read-only", "--tmpfs", "/tmp", "busybox", "sh", "-c", "touch /x; touch /tmp/y && echo ok")
    assert done.stdout == "ok\n"
    assert "Read-only file system" in done.stderr


def capability(cli, *options):
    text = cli("run", "--rm", *options, "busybox", "grep", "Cap", "/proc/self/status").stdout
    return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines()}


def test_capabilities(cli):
    assert set(capability(cli, "--cap-drop", "ALL").values()) == {0}
    default = capability(cli)
    assert default["CapEff"] == 0xA80425FB and default["CapInh"] == 0 and default["CapAmb"] == 0
    mine = int(next(line for line in open("/proc/self/status") if line.startswith("CapBnd")).split()[1], 16)
    assert capability(cli, "--privileged")["CapEff"] == mine
    assert capability(cli, "--cap-drop", "ALL", "--cap-add", "net_admin")["CapEff"] == 1 << 12


def test_privileged_warns_of_what_the_daemon_lacks(berthd):
    status, answer = berthd.json("POST", "/containers/create",
                                 {"Image": "busybox", "HostConfig": {"Privileged": True}})
    assert status == 201
    mine = int(next(line for line in open("/proc/self/status") if line.startswith("CapBnd")).split()[1], 16)
    assert bool(answer["Warnings"]) == (mine != (1 << 41) - 1)
    berthd.docker("rm", answer["Id"])


def test_seccomp_is_on(cli):
    assert "Seccomp:\t2" in cli("run", "--rm", "busybox", "cat", "/proc/self/status").stdout
    assert cli("run", "--rm", "busybox", "unshare", "-m", "true", check=False).returncode != 0
    off = cli("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "cat", "/proc/self/status").stdout
    assert "Seccomp:\t0" in off


def test_environment(cli):
    text = cli("run", "--rm", "-e", "A=1", "-h", "box", "busybox", "env").stdout.splitlines()
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in text
    assert {"HOSTNAME=box", "A=1", "HOME=/root"} <= set(text)


def test_only_the_standard_descriptors(cli):
    listing = cli("run", "--rm", "busybox", "ls", "/proc/self/fd").stdout.split()
    assert listing in (["0", "1", "2", "3"], ["0", "1", "2"])


def test_bind_mount(cli, tmp_path):
    (tmp_path / "f").write_text("from the host\n")
    tmp_path.chmod(0o755)
    assert cli("run", "--rm", "-v", "%s:/d:ro" % tmp_path, "busybox", "cat", "/d/f").stdout == "from the host\n"
    assert cli("run", "--rm", "-v", "%s:/d:ro" % tmp_path, "busybox", "touch", "/d/g", check=False).returncode != 0
    cli("run", "--rm", "-v", "%s/made:/d" % tmp_path, "busybox", "touch", "/d/g")
    assert (tmp_path / "made" / "g").exists()


def test_init(cli):
    if not os.path.exists("/usr/bin/tini-static") and not os.path.exists("/usr/bin/tini"):
        pytest.fail("tini is not installed")
    assert "docker-init" in cli("run", "--rm", "--init", "busybox", "cat", "/proc/1/cmdline").stdout


def test_networks(cli, berthd):
    assert cli("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net").stdout.split() == ["lo"]
    assert "docker0" in cli("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net").stdout.split()
    cli("run", "-d", "--name", "server", "busybox", "sh", "-c", "while true; do echo pong | nc -l -p 80; done")
    ip = berthd.out("inspect", "server", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}")
    try:
        got = until(lambda: cli("run", "--rm", "busybox", "nc", "-w", "2", ip, "80", check=False).stdout)
        assert got == "pong\n"
        joined = cli("run", "--rm", "--network", "container:server", "busybox", "ip", "addr").stdout
        assert ip in joined
    finally:
        cli("rm", "-f", "server")


def test_detached_life(cli, berthd):
    cid = cli("run", "-d", "--name", "life", "busybox", "sh", "-c", "trap 'exit 5' TERM; while true; do sleep 0.05; done").stdout.strip()
    assert cid[:12] in cli("ps").stdout and "life" in cli("ps").stdout
    assert cli("exec", "life", "echo", "in").stdout == "in\n"
    assert cli("exec", "life", "sh", "-c", "exit 7", check=False).returncode == 7
    missing = cli("exec", "life", "nosuch", check=False)
    assert missing.returncode == 127 and "executable file not found in $PATH" in missing.stdout + missing.stderr
    assert cli("exec", "-i", "life", "cat", input="through\n").stdout == "through\n"
    cli("stop", "life")
    state = json.loads(berthd.out("inspect", "life"))[0]["State"]
    assert (state["Status"], state["ExitCode"], state["Running"]) == ("exited", 5, False)
    cli("start", "life")
    pid = berthd.out("inspect", "life", "-f", "{{.State.Pid}}")
    cli("restart", "-t", "0", "life")
    assert berthd.out("inspect", "life", "-f", "{{.State.Pid}}") != pid
    cli("kill", "-s", "KILL", "life")
    assert cli("wait", "life").stdout == "137\n"
    assert cli("rm", "life").stdout == "life\n"
    assert cli("inspect", "life", check=False).returncode == 1


def test_rm_needs_force_while_running(cli):
    cli("run", "-d", "--name", "busy", "busybox", "sleep", "100")
    done = cli("rm", "busy", check=False)
    assert done.returncode == 1 and "container is running" in done.stderr
    cli("rm", "-f", "busy")


def test_name_conflict(cli):
    cid = cli("create", "--name", "taken", "busybox").stdout.strip()
    done = cli("create", "--name", "taken", "busybox", check=False)
    assert 'The container name "/taken" is already in use by container "%s"' % cid in done.stderr
    cli("rm", "taken")


def test_wait_removed_after_auto_remove(berthd):
    cid = berthd.out("run", "-d", "--rm", "busybox", "sh", "-c", "sleep 0.3; exit 9")
    status, answer = berthd.json("POST", "/containers/%s/wait?condition=removed" % cid)
    assert (status, answer) == (200, {"StatusCode": 9})
    assert berthd.json("GET", "/containers/%s/json" % cid)[0] == 404


def test_logs(cli):
    cli("run", "--name", "talk", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2")
    assert cli("logs", "talk").stdout == "".join("line %d\n" % i for i in range(1, 6))
    assert cli("logs", "talk").stderr == "bad\n"
    assert cli("logs", "--tail", "2", "talk").stdout + cli("logs", "--tail", "2", "talk").stderr == "line 5\nbad\n"
    stamped = cli("logs", "-t", "talk").stdout.splitlines()[0]
    assert stamped.endswith("Z line 1") and len(stamped.split()[0]) == 30
    cli("rm", "talk")


def test_logs_follow(berthd):
    berthd.docker("run", "-d", "--name", "count", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    assert berthd.out("logs", "-f", "count").split() == ["1", "2", "3"]
    berthd.docker("rm", "-f", "count")


def test_tty_resize_and_detach(berthd):
    env = berthd.env
    child = pexpect.spawn("docker", ["run", "-it", "--name", "term", "busybox", "sh"], env=env, timeout=15, encoding="utf-8",
                          dimensions=(31, 97))
    child.expect("# ")
    until(lambda: False, 0.3)
    child.sendline("stty size")
    child.expect("31 97")
    child.setwinsize(40, 120)
    until(lambda: False, 0.5)
    child.sendline("stty size")
    child.expect("40 120")
    child.send("\x10\x11")
    child.expect(pexpect.EOF)
    assert berthd.out("inspect", "term", "-f", "{{.State.Running}}") == "true"
    child = pexpect.spawn("docker", ["attach", "term"], env=env, timeout=15, encoding="utf-8")
    until(lambda: False, 0.3)
    child.sendline("echo back $((6*7))")
    child.expect("back 42")
    child.sendline("exit 4")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 4
    berthd.docker("rm", "term")


def test_exec_tty(berthd):
    berthd.docker("run", "-d", "--name", "host-of-exec", "busybox", "sleep", "100")
    child = pexpect.spawn("docker", ["exec", "-it", "host-of-exec", "sh"], env=berthd.env, timeout=15, encoding="utf-8")
    child.expect("# ")
    child.sendline("tty; exit 6")
    child.expect("/dev/pts/0")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 6
    berthd.docker("rm", "-f", "host-of-exec")


def test_list_filters(berthd):
    berthd.docker("run", "-d", "--name", "f1", "--label", "k=v", "busybox", "sleep", "100")
    berthd.docker("run", "--name", "f2", "--label", "k=w", "busybox", "sh", "-c", "exit 3", check=False)
    listed = lambda *f: set(berthd.out("ps", "-a", "--format", "{{.Names}}", *sum((["-f", x] for x in f), [])).split())
    assert listed("label=k=v") == {"f1"}
    assert listed("label=k") == {"f1", "f2"}
    assert listed("name=^/f2$") == {"f2"}
    assert listed("status=running", "label=k") == {"f1"}
    assert listed("exited=3") == {"f2"}
    assert listed("ancestor=busybox", "label=k") == {"f1", "f2"}
    assert listed("since=f1") == {"f2"}
    assert berthd.docker("ps", "-f", "nosuch=1", check=False).returncode == 1
    berthd.docker("rm", "-f", "f1", "f2")


def test_events(berthd):
    since = "%.9f" % time.time()
    berthd.docker("run", "--rm", "--name", "ev", "busybox", "true")
    text = berthd.out("events", "--since", since, "--until", "%.9f" % (time.time() + 0.1), "--format", "{{.Type}}.{{.Action}}")
    actions = text.split()
    for action in ("container.create", "container.attach", "network.connect", "container.start", "network.disconnect",
                   "container.die", "container.destroy"):
        assert action in actions
    assert actions.index("container.create") < actions.index("container.start") < actions.index("container.die") < \
        actions.index("container.destroy")


def test_unsupported_fields_are_named(berthd):
    for host, field in (({"BlkioWeight": 300}, "HostConfig.BlkioWeight"), ({"CpuRealtimePeriod": 1000}, "HostConfig.CpuRealtimePeriod")):
        status, answer = berthd.json("POST", "/containers/create", {"Image": "busybox", "HostConfig": host})
        assert status == 501 and field in answer["message"]


@pytest.mark.parametrize("body,status,text", [
    ({"Image": "busybox", "HostConfig": {"Memory": 1000}}, 400, "Minimum memory limit allowed is 6MB"),
    ({"Image": "busybox", "WorkingDir": "x"}, 400, "the working directory 'x' is invalid, it needs to be an absolute path"),
    ({"Image": "busybox", "HostConfig": {"CapAdd": ["NOSUCH"]}}, 400, 'invalid CapAdd: unknown capability: "CAP_NOSUCH"'),
    ({"Image": "nosuch"}, 404, "No such image: nosuch:latest"),
    ({"Image": "busybox", "StopSignal": "SIGX"}, 400, "invalid signal: SIGX"),
    ({"Image": "busybox", "HostConfig": {"NetworkMode": "container:none-such"}}, 404, "No such container: none-such"),
    ({"Image": "busybox", "HostConfig": {"Memory": "64m"}}, 400, "HostConfig.Memory: not a number"),
    ({"Image": "busybox", "HostConfig": {"CpusetCpus": "0-4294967295"}}, 400, "Invalid value 0-4294967295 for cpuset cpus"),
])
def test_create_refuses(berthd, body, status, text):
    assert berthd.json("POST", "/containers/create", body) == (status, {"message": text})


def test_keys_match_without_case(berthd):
    status, answer = berthd.json("POST", "/containers/create", {"image": "busybox", "CMD": "true", "hostconfig": {"memory": 67108864}})
    assert status == 201
    shown = berthd.json("GET", "/containers/%s/json" % answer["Id"])[1]
    assert shown["HostConfig"]["Memory"] == 67108864 and shown["Path"] == "true"
    berthd.docker("rm", answer["Id"])


def test_half_closed_client_gets_its_answer(berthd):
    import socket

    s = socket.socket(socket.AF_UNIX)
    s.connect(berthd.socket)
    s.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    s.shutdown(socket.SHUT_WR)
    text = b""
    while True:
        part = s.recv(65536)
        if not part:
            break
        text += part
    assert text.startswith(b"HTTP/1.1 200 OK\r\n") and text.endswith(b"OK")


def test_fifty_at_once(berthd):
    procs = [subprocess.Popen(["docker", "run", "--rm", "busybox", "echo", str(i)], env=berthd.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) for i in range(50)]
    results = [p.communicate(timeout=240) for p in procs]
    assert [(r[0], p.returncode) for r, p in zip(results, procs)] == [("%d\n" % i, 0) for i in range(50)], results
    assert until(lambda: not berthd.out("ps", "-aq"))
    assert until(lambda: not berthd.links())
