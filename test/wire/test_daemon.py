"""The daemon itself: options, files, signals, listeners, TLS, the service manager."""
import json
import os
import socket
import ssl
import subprocess
import time

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
    ('{"registry-mirrors": []}', "the directive registry-mirrors is not supported"),
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
