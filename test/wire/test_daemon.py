"""The daemon itself: options, files, signals, listeners, TLS, the service manager."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

from conftest import BERTHD, until


def call(*args):
    return subprocess.run([BERTHD, *args], capture_output=True, text=True, timeout=20)


def test_words_of_the_command_line(tmp_path):
    unknown = call("--nosuch")
    assert unknown.returncode == 125 and "unknown flag: --nosuch" in unknown.stderr
    assert call("--version").stdout.startswith("Berth version")
    assert "--data-root" in call("--help").stdout


@pytest.mark.parametrize("text,words", [
    ('{"nosuch": 1}', "the following directives don't match any configuration option: nosuch"),
    ('{"userns-remap": "x"}', "the directive userns-remap is not supported"),
    ('{"debug": "yes"}', "debug must be true or false"),
    ("{", "invalid JSON"),
    ('{"labels": ["x"]}', "bad attribute format: x"),
    ('{"mtu": -1}', "invalid default MTU: -1"),
])
def test_bad_configuration(tmp_path, text, words):
    path = tmp_path / "daemon.json"
    path.write_text(text)
    done = call("--validate", "--config-file", str(path))
    assert done.returncode == 1 and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_validate_and_conflicts(tmp_path):
    path = tmp_path / "daemon.json"
    path.write_text('{"debug": true, "hosts": ["unix:///tmp/x"]}')
    assert call("--validate", "--config-file", str(path)).stderr == "configuration OK\n"
    done = call("--validate", "--config-file", str(path), "-H", "unix:///tmp/y")
    assert done.returncode == 1 and "specified both as a flag and in the configuration file: host" in done.stderr
    assert call("--validate", "--config-file", str(tmp_path / "missing")).returncode == 1


def test_ping_headers(fresh):
    fresh.start()
    status, body, headers = fresh.api("GET", "/_ping")
    assert (status, body) == (200, b"OK")
    assert headers["Api-Version"] == "1.51" and headers["Ostype"] == "linux" and headers["Server"].startswith("Docker/")
    assert headers["Content-Type"] == "text/plain; charset=utf-8" and headers["Docker-Experimental"] == "false"
    assert fresh.api("HEAD", "/_ping")[1] == b""
    assert fresh.json("GET", "/nosuch") == (404, {"message": "page not found"})
    status, answer = fresh.json("GET", "/v1.99/version")
    assert status == 400 and answer["message"] == "client version 1.99 is too new. Maximum supported API version is 1.51"
    status, text, headers = fresh.api("GET", "/v1.10/version")
    assert status == 400 and b"too old. Minimum supported API version is 1.24" in text
    assert fresh.out("version", "--format", "{{.Server.Version}}") == "28.5.2"
    assert "Storage Driver: overlay2" in fresh.out("info")
    assert fresh.stop() == 0


def test_unix_socket_belongs_to_the_group(fresh):
    fresh.args = ["-G", "daemon"]
    fresh.start()
    import grp

    st = os.stat(fresh.socket)
    assert st.st_mode & 0o777 == 0o660 and st.st_gid == grp.getgrnam("daemon").gr_gid
    fresh.stop()
    assert not os.path.exists(fresh.socket)
    assert not os.path.exists(os.path.join(fresh.run, "berthd.pid"))


def test_live_socket_is_not_stolen(fresh):
    fresh.start()
    other = subprocess.run([BERTHD, "-H", "unix://" + fresh.socket, "--data-root", fresh.root + "/d2", "--exec-root",
                            fresh.root + "/r2", "--config-file", fresh.root + "/daemon.json"], capture_output=True, text=True,
                           timeout=20)
    assert other.returncode == 1 and fresh.socket in other.stderr
    assert fresh.api("GET", "/_ping")[0] == 200


def test_several_hosts_and_tcp(fresh):
    fresh.start("-H", "tcp://127.0.0.1:23755", "-H", "tcp://[::1]:23756")
    for host in ("127.0.0.1:23755", "[::1]:23756"):
        done = fresh.in_netns("curl", "-s", "-g", "http://%s/_ping" % host, capture_output=True, text=True)
        assert done.stdout == "OK"
    refused = fresh.in_netns("curl", "-s", "-H", "Origin: http://evil", "http://127.0.0.1:23755/info", capture_output=True, text=True)
    assert "message" in refused.stdout and "Containers" not in refused.stdout


def test_socket_activation(fresh):
    listening = socket.socket(socket.AF_UNIX)
    path = os.path.join(fresh.root, "activated.sock")
    listening.bind(path)
    listening.listen()
    script = ("import os,sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True); os.environ.update(LISTEN_FDS='1', "
              "LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])")
    with open(fresh.root + "/daemon.json", "w") as f:
        f.write("{}")
    daemon = subprocess.Popen(["/usr/bin/python3", "-c", script, str(listening.fileno()), BERTHD, "-H", "fd://", "--data-root",
                               fresh.data, "--exec-root", fresh.run, "--config-file", fresh.root + "/daemon.json"],
                              pass_fds=[listening.fileno()], stderr=subprocess.PIPE)
    try:
        fresh.socket = path
        assert until(lambda: fresh.api("GET", "/_ping")[0] == 200)
    finally:
        daemon.terminate()
        assert daemon.wait(20) == 0
        daemon.stderr.close()
        listening.close()


def test_activation_without_sockets(fresh):
    done = subprocess.run([BERTHD, "-H", "fd://", "--data-root", fresh.data, "--exec-root", fresh.run, "--config-file",
                           "/dev/null"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "no sockets found via socket activation: make sure the service was started by systemd" in done.stderr


def certificates(folder):
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    for name, usage in (("server", "serverAuth"), ("client", "clientAuth")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=localhost")
        (folder / "ext").write_text("extendedKeyUsage=%s\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n" % usage)
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", name + ".pem",
                "-days", "2", "-extfile", "ext")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=x", "-days", "2")


def test_tls(fresh, tmp_path):
    certificates(tmp_path)
    p = lambda name: str(tmp_path / name)
    fresh.start("-H", "tcp://127.0.0.1:23766", "--tlsverify", "--tlscacert", p("ca.pem"), "--tlscert", p("server.pem"), "--tlskey",
                p("server.key"))
    curl = lambda *args: fresh.in_netns("curl", "-s", "-m", "5", "--cacert", p("ca.pem"), *args, "https://127.0.0.1:23766/_ping",
                                        check=False, capture_output=True, text=True)
    assert curl("--cert", p("client.pem"), "--key", p("client.key")).stdout == "OK"
    assert curl().returncode != 0
    assert curl("--cert", p("other.pem"), "--key", p("other.key")).returncode != 0
    assert curl("--cert", p("server.pem"), "--key", p("server.key")).returncode != 0
    assert curl("--cert", p("client.pem"), "--key", p("client.key"), "--tls-max", "1.1").returncode != 0
    assert fresh.api("GET", "/_ping")[0] == 200


def test_reload(fresh):
    fresh.start()
    assert fresh.api("GET", "/debug/vars")[0] == 404
    since = "%.9f" % time.time()
    with open(fresh.root + "/daemon.json", "w") as f:
        f.write('{"debug": true, "labels": ["a=b"]}')
    fresh.process.send_signal(1)
    assert until(lambda: fresh.api("GET", "/debug/vars")[0] == 200)
    assert fresh.json("GET", "/info")[1]["Labels"] == ["a=b"]
    text = fresh.out("events", "--since", since, "--until", "%.9f" % (time.time() + 0.1), "--format", "{{json .}}")
    event = json.loads(text)
    assert (event["Type"], event["Action"]) == ("daemon", "reload")
    assert event["Actor"]["Attributes"]["labels"] == '["a=b"]'
    with open(fresh.root + "/daemon.json", "w") as f:
        f.write('{"nosuch": true}')
    fresh.process.send_signal(1)
    assert until(lambda: "Error reloading configuration" in fresh.log_text())
    assert fresh.api("GET", "/debug/vars")[0] == 200
    with open(fresh.root + "/daemon.json", "w") as f:
        f.write("{}")
    fresh.process.send_signal(1)
    assert until(lambda: fresh.api("GET", "/debug/vars")[0] == 404)
    assert fresh.stop() == 0


def test_service_manager_is_told(fresh):
    path = os.path.join(fresh.root, "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(10)
    fresh.start(env={"NOTIFY_SOCKET": path})
    assert manager.recv(100) == b"READY=1"
    fresh.process.send_signal(1)
    assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert manager.recv(100) == b"READY=1"
    fresh.stop()
    assert manager.recv(100) == b"STOPPING=1"
    manager.close()


def test_terminate_stops_containers(fresh):
    fresh.start()
    fresh.load_busybox()
    fresh.docker("run", "-d", "--name", "one", "busybox", "sh", "-c", "trap 'exit 3' TERM; while true; do sleep 0.05; done")
    assert fresh.stop() == 0
    assert not fresh.leftovers()
    fresh.start()
    assert fresh.out("inspect", "one", "-f", "{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
    fresh.docker("rm", "one")
    assert fresh.stop() == 0


def test_live_restore_leaves_them(fresh):
    fresh.args = ["--live-restore"]
    fresh.start()
    fresh.load_busybox()
    fresh.docker("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    pid = fresh.out("inspect", "one", "-f", "{{.State.Pid}}")
    assert fresh.stop() == 0
    fresh.start()
    assert fresh.out("inspect", "one", "-f", "{{.State.Pid}} {{.State.Status}}") == pid + " running"
    fresh.docker("rm", "-f", "one")
    assert fresh.stop() == 0
    assert not fresh.leftovers()


def test_stalled_event_reader_slows_nobody(fresh):
    fresh.start()
    fresh.load_busybox()
    stalled = socket.socket(socket.AF_UNIX)
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(fresh.socket)
    stalled.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    for i in range(300):
        status, answer = fresh.json("POST", "/containers/create", {"Image": "busybox", "Labels": {"big": "x" * 20000}})
        assert status == 201
        assert fresh.api("DELETE", "/containers/" + answer["Id"])[0] == 204
    assert until(lambda: "an event subscriber does not read and is closed" in fresh.log_text())
    stalled.close()
    assert fresh.stop() == 0


# ---- two daemons, files, signals ----

def other_daemon(d, *args):
    return subprocess.run([BERTHD, "-H", "unix://%s/other.sock" % d.root, "--config-file", d.root + "/daemon.json", *args],
                          capture_output=True, text=True, timeout=20)


def test_second_daemon_is_refused(fresh):
    fresh.start()
    pid = open(fresh.run + "/berthd.pid").read()
    same = other_daemon(fresh, "--data-root", fresh.data, "--exec-root", fresh.run)
    assert same.returncode == 1
    assert same.stderr == ("failed to start daemon, ensure docker is not running or delete %s/berthd.pid: process with PID %s is "
                           "still running\n" % (fresh.run, pid))
    root = other_daemon(fresh, "--data-root", fresh.data, "--exec-root", fresh.root + "/run2")
    assert root.returncode == 1 and root.stderr == "failed to start daemon: another berthd uses the data root %s\n" % fresh.data
    assert not os.path.exists(fresh.root + "/other.sock") and not os.path.exists(fresh.root + "/run2/berthd.pid")
    assert open(fresh.run + "/berthd.pid").read() == pid == str(fresh.process.pid)
    assert fresh.api("GET", "/_ping")[0] == 200
    assert fresh.stop() == 0


def test_pid_file_of_the_dead_is_replaced(fresh):
    os.makedirs(fresh.run)
    gone = subprocess.Popen(["true"])
    gone.wait()
    for text in (str(gone.pid), "1", "nonsense", str(os.getpid())):
        with open(fresh.run + "/berthd.pid", "w") as f:
            f.write(text)
        fresh.start()
        assert open(fresh.run + "/berthd.pid").read() == str(fresh.process.pid)
        assert fresh.stop() == 0
        assert not os.path.exists(fresh.run + "/berthd.pid")


def test_failed_start_leaves_nothing_behind(fresh):
    failed = other_daemon(fresh, "-H", "tcp://256.256.256.256:1", "--data-root", fresh.data, "--exec-root", fresh.run,
                          "--config-file", "/dev/null")
    assert failed.returncode == 1 and failed.stderr.splitlines()[-1].startswith("failed to start daemon: ")
    assert not os.path.exists(fresh.root + "/other.sock") and not os.path.exists(fresh.run + "/berthd.pid")


def test_it_may_be_ended_at_any_moment(fresh):
    """Also while what the start left to jobs is under way."""
    for i in range(12):
        fresh.start(wait=False)
        if i % 3 == 0:
            fresh.wait_up()
        elif i % 3 == 1:
            until(lambda: os.path.exists(fresh.run + "/berthd.pid"))
            time.sleep(0.004 * i)
        else:
            assert until(lambda: os.path.exists(fresh.socket))
            time.sleep(0.004 * i)
        fresh.process.send_signal(signal.SIGTERM)
        # before its signals are taken it ends as any process
        assert fresh.process.wait(20) in (0, -signal.SIGTERM), fresh.log_text()
        fresh.process = None
    assert "Assertion" not in fresh.log_text() and "Sanitizer" not in fresh.log_text()


def test_dump(fresh):
    fresh.start()
    listener = socket.socket(socket.AF_UNIX)
    listener.connect(fresh.socket)
    listener.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    assert listener.recv(4096).startswith(b"HTTP/1.1 200 OK")  # before there is any event
    fresh.process.send_signal(signal.SIGUSR1)
    found = lambda: [name for name in os.listdir(fresh.run) if name.startswith("stacks-") and name.endswith(".log")]
    assert until(found)
    text = open(os.path.join(fresh.run, found()[0])).read()
    assert text.startswith("berthd ") and "pid %d" % fresh.process.pid in text and "/events" in text
    assert until(lambda: "what is in flight was written" in fresh.log_text())
    assert fresh.api("GET", "/_ping")[0] == 200
    fresh.process.send_signal(signal.SIGQUIT)
    assert fresh.process.wait(20) == -signal.SIGABRT
    assert fresh.log_text().count("/events") >= 1
    fresh.process = None
    listener.close()


def test_third_signal_ends_it_at_once(fresh):
    fresh.start()
    fresh.load_busybox()
    fresh.docker("run", "-d", "--stop-timeout", "60", "busybox", "sh", "-c", "trap '' TERM; while true; do sleep 0.1; done")
    for _ in range(2):
        fresh.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert fresh.process.poll() is None
    began = time.monotonic()
    fresh.process.send_signal(signal.SIGTERM)
    assert fresh.process.wait(5) == 128 + signal.SIGTERM and time.monotonic() - began < 2
    fresh.process = None
    fresh.start()  # and the next one finds what runs
    fresh.docker("rm", "-f", *fresh.out("ps", "-q").split())
    assert fresh.stop() == 0
    assert not fresh.leftovers()


def test_reload_of_runtimes(fresh):
    fresh.start()

    def reload(text, done):
        with open(fresh.root + "/daemon.json", "w") as f:
            f.write(text)
        fresh.process.send_signal(signal.SIGHUP)
        assert until(done), fresh.log_text()

    info = lambda: fresh.json("GET", "/info")[1]
    before = info()["DefaultRuntime"]
    reload('{"runtimes": {"mine": {"path": "/usr/bin/crun", "runtimeArgs": ["--debug"]}}, "default-runtime": "mine"}',
           lambda: info()["DefaultRuntime"] == "mine")
    assert info()["Runtimes"]["mine"]["path"] == "/usr/bin/crun"
    failures = fresh.log_text().count("Error reloading configuration")
    reload('{"default-runtime": "none-such", "debug": true}',
           lambda: fresh.log_text().count("Error reloading configuration") > failures)
    assert info()["DefaultRuntime"] == "mine" and info()["Debug"] is False
    reload('{"mtu": 1400}', lambda: info()["DefaultRuntime"] == before)
    assert 'these settings change at the next start only' in fresh.log_text() and "settings=mtu" in fresh.log_text()
    assert "mine" not in info()["Runtimes"]
    for _ in range(30):  # many at once: the last one counts
        fresh.process.send_signal(signal.SIGHUP)
    reload('{"labels": ["last=1"]}', lambda: info()["Labels"] == ["last=1"])
    assert fresh.stop() == 0


def test_watchdog_is_fed(fresh):
    path = os.path.join(fresh.root, "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(10)
    fresh.start(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
    said = [manager.recv(100) for _ in range(4)]
    assert said == [b"READY=1"] + [b"WATCHDOG=1"] * 3
    manager.close()
    assert fresh.stop() == 0


# ---- events ----

def events(d, query):
    status, text, _ = d.api("GET", "/events?" + query)
    assert status == 200, text
    return [json.loads(line) for line in text.splitlines()]


def quoted(filters):
    return urllib.parse.quote(json.dumps(filters))


def test_events(fresh):
    fresh.start()
    fresh.load_busybox()
    ids = [fresh.json("POST", "/containers/create?name=" + name, {"Image": "busybox", "Labels": {"n": name, "all": "1"}})[1]["Id"]
           for name in ("one", "two")]
    for ref in ids:
        assert fresh.api("DELETE", "/containers/" + ref)[0] == 204
    now = "%.9f" % time.time()
    past = "since=1&until=" + now
    count = lambda **filters: len(events(fresh, past + "&filters=" + quoted(filters)))
    every = events(fresh, past)
    assert [e["timeNano"] for e in every] == sorted({e["timeNano"] for e in every})
    assert [e["status"] for e in every if e["Type"] == "container"] == ["create", "create", "destroy", "destroy"]
    assert all(e["id"] == e["Actor"]["ID"] and e["from"] == "busybox" for e in every if e["Type"] == "container")
    assert count(type=["container"]) == 4 and count(type=["container"], event=["create"]) == 2
    assert count(event=["create", "destroy"], type=["container"]) == 4  # one key: any of its values
    assert count(label=["n=one"]) == 2 and count(label=["n=one", "all"]) == 2 and count(label=["n=one", "n=two"]) == 0
    assert count(container=["one"]) == 2 and count(container=[ids[0][:6]]) == 2 and count(container=[ids[0], "two"]) == 4
    assert count(image=["busybox"], type=["container"]) == 4 and count(image=["busy"]) == 0
    assert count(service=["one"]) == 0 and count(scope=["local"]) == len(every) and count(scope=["swarm"]) == 0
    assert len(events(fresh, past + "&filters=" + quoted({"type": {"container": True}}))) == 4
    assert fresh.json("GET", "/events?filters=" + quoted({"x": ["y"]})) == (400, {"message": "invalid filter 'x'"})
    assert fresh.json("GET", "/events?since=20&until=10") == (
        400, {"message": "`since` time (20) cannot be after `until` time (10)"})
    began = time.monotonic()
    assert events(fresh, "until=%.9f" % (time.time() + 0.5)) == [] and 0.3 < time.monotonic() - began < 5
    assert fresh.stop() == 0


def test_the_past_is_told_whole_however_much_it_is(fresh):
    """1,024 events of 5 KB are more than a subscriber may leave unread; one that reads gets them all."""
    fresh.start()
    fresh.load_busybox()
    for i in range(520):
        status, answer = fresh.json("POST", "/containers/create", {"Image": "busybox", "Labels": {"big": "x" * 5000}})
        assert status == 201
        assert fresh.api("DELETE", "/containers/" + answer["Id"])[0] == 204
    s = socket.socket(socket.AF_UNIX)
    s.connect(fresh.socket)
    s.sendall(("GET /events?since=1&until=%.9f HTTP/1.0\r\n\r\n" % time.time()).encode())
    time.sleep(0.5)  # it begins late
    text = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        text += piece
    s.close()
    lines = text.split(b"\r\n\r\n", 1)[1].splitlines()
    assert len(lines) == 1024 and all(json.loads(line)["timeNano"] for line in lines)
    assert "does not read" not in fresh.log_text()
    assert fresh.stop() == 0


# ---- what is said of it ----

def test_every_option_is_documented():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    options = re.findall(r"--([a-z][a-z0-9-]+) ", call("--help").stdout)
    rows = re.findall(r"^\| `--([a-z0-9-]+)", text, re.M)
    assert len(options) > 40 and sorted(options) == sorted(rows)


def test_debian_docker_client(fresh):
    old = os.environ.get("BERTH_DOCKER_20")
    if not old:
        pytest.skip("no docker 20.10 here: ./dev test brings it")
    fresh.start()
    assert fresh.docker("version", "--format", "{{.Server.Version}}", binary=old).stdout.strip() == "28.5.2"
    assert "Server Version: 28.5.2" in fresh.docker("info", binary=old).stdout
    assert fresh.stop() == 0


def test_start_is_quick(fresh):
    """Printed, not asserted: a busy machine is not the daemon's fault.  `berth-bench start` measures."""
    began = time.perf_counter()
    fresh.start(wait=False)
    while True:
        try:
            if fresh.api("GET", "/_ping")[0] == 200:
                break
        except OSError:
            assert fresh.process.poll() is None, fresh.log_text()
    print("spawn to first ping: %.1f ms" % ((time.perf_counter() - began) * 1000))
    assert fresh.stop() == 0
