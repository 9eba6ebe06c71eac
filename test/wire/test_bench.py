"""berth-bench against servers that misbehave: what it reports must be what happened."""
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

BENCH = os.environ.get("BERTH_BENCH", "")
pytestmark = pytest.mark.skipif(not os.access(BENCH, os.X_OK), reason="berth-bench is not built")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers every request head with what `answer(number, path)` gives: bytes, or None to close."""

    def __init__(self, path, answer, wrap=None):
        self.answer, self.wrap, self.requests, self.lock = answer, wrap, 0, threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.socket.bind(path or ("127.0.0.1", 0))
        self.socket.listen(128)
        self.url = "unix://" + path if path else f"tcp://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.wrap:
                connection = self.wrap(connection)
            self.talk(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def talk(self, connection):
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                piece = connection.recv(65536)
                if not piece:
                    return
                pending += piece
            head, pending = pending.split(b"\r\n\r\n", 1)
            with self.lock:
                self.requests += 1
                number = self.requests
            path = head.split(b" ", 2)[1].decode()
            said = OK if path == "/version" else self.answer(number, path)
            if said is None:
                return
            connection.sendall(said)
            if b"Connection: close" in said:
                return


@pytest.fixture
def serve(tmp_path):
    servers = []

    def make(answer, **more):
        servers.append(Server(str(tmp_path / f"{len(servers)}.sock"), answer, **more))
        return servers[-1]

    yield make
    for server in servers:
        server.socket.close()


def bench(server, *words, expect=0, url=None):
    done = subprocess.run([BENCH, "-H", url or server.url, *words, "--json", "-"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout[done.stdout.index("\n{") + 1:])


def test_counts_every_operation(serve):
    result = bench(serve(lambda n, path: OK), "ping", "--count", "500", "--connections", "4")
    assert result["operations"] == 500 and result["failed"] == 0
    assert result["statuses"] == {"200": 500}
    assert result["phases_ns"]["GET /_ping"]["count"] == 500


def test_pipelines_in_order(serve):
    result = bench(serve(lambda n, path: OK), "ping", "--count", "1000", "--pipeline", "16")
    assert result["operations"] == 1000 and result["failed"] == 0


def test_counts_other_statuses(serve):
    bad = b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n"
    server = serve(lambda n, path: bad if n % 4 == 0 else OK)
    result = bench(server, "ping", "--count", "100", expect=3)
    assert result["failed"] == result["statuses"]["503"] == 25
    assert result["phases_ns"]["GET /_ping"]["count"] == 75


def test_opens_again_after_connection_close(serve):
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    result = bench(serve(lambda n, path: closing), "ping", "--count", "50")
    assert result["operations"] == 50 and result["failed"] == 0


def test_an_answer_that_ends_with_its_connection(serve):
    until_eof = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhatever"
    result = bench(serve(lambda n, path: until_eof), "ping", "--count", "20")
    assert result["failed"] == 0


def test_a_server_that_hangs_up(serve):
    server = serve(lambda n, path: None if n % 5 == 0 else OK)
    result = bench(server, "ping", "--count", "50", expect=3)
    assert result["operations"] == 50
    assert result["failed"] == result["errors"]["closed by the server"] > 0


def test_an_answer_that_is_cut(serve):
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc"
    result = bench(serve(lambda n, path: cut), "ping", "--count", "5", expect=3)
    assert result["failed"] == 5


def test_what_is_not_http(serve):
    result = bench(serve(lambda n, path: b"SSH-2.0-hello\r\n"), "ping", "--count", "3", expect=3)
    assert result["errors"] == {"the answer is not HTTP": 3}


def test_a_server_that_never_answers(serve):
    server = serve(lambda n, path: b"")
    result = bench(server, "ping", "--count", "2", "--timeout", "0.3", expect=3)
    assert result["errors"] == {"timed out": 2}


def test_nobody_there(tmp_path):
    done = subprocess.run([BENCH, "-H", f"unix://{tmp_path}/none", "ping"], text=True,
                          stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 1 and "no such file" in done.stderr


def test_a_plan_charges_for_what_waited(serve):
    """One stall of a second at 100 per second: about a third of 300 requests were due meanwhile."""
    def answer(n, path):
        if n == 50:
            time.sleep(1)
        return OK

    planned = bench(serve(answer), "ping", "--rate", "100", "--duration", "3")
    asked = bench(serve(answer), "ping", "--count", "300")
    assert planned["operations"] == 300
    assert planned["phases_ns"]["GET /_ping"]["p90"] > 400e6
    assert asked["phases_ns"]["GET /_ping"]["p90"] < 100e6  # a closed loop hides it


def test_the_plan_is_kept(serve):
    result = bench(serve(lambda n, path: OK), "ping", "--rate", "200", "--duration", "1",
                   "--warmup", "0.5", "--connections", "2")
    assert result["operations"] == 200
    assert 190 < result["rate"] < 210


def test_ctrl_c_prints_what_was_measured(serve):
    process = subprocess.Popen([BENCH, "-H", serve(lambda n, path: OK).url, "ping", "--duration",
                                "60", "--json", "-"], stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    result = json.loads(out[out.index("\n{") + 1:])
    assert process.returncode == 130 and result["interrupted"] and result["operations"] > 0


def test_ctrl_c_removes_the_containers(serve):
    """Of a cycle whose start never answers: found by its label and deleted."""
    seen = []

    def answer(n, path):
        seen.append(path)
        if "/create" in path:
            return b'HTTP/1.1 201 C\r\nContent-Length: 13\r\n\r\n{"Id":"abcd"}'
        if "/start" in path:
            return b""
        if "filters=" in path:
            return b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n[{"Id":"abcd"}]'
        return b"HTTP/1.1 204 N\r\n\r\n"

    process = subprocess.Popen([BENCH, "-H", serve(answer).url, "lifecycle", "--count", "1"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert seen[-1].startswith("/containers/abcd?force=1")
    assert any("berth-bench-run%3D" in path for path in seen)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    run = lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True,
                                        stderr=subprocess.DEVNULL)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
        "-subj", "/CN=ca", "-days", "2")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for name in ("server", "client"):
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
            "-subj", "/CN=localhost")
        run("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", "names", "-days", "2", "-out", name + ".pem")
    return folder


def tls_server(certificates, answer):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(None, answer, wrap=lambda c: context.wrap_socket(c, server_side=True))
    return server, server.url.replace("127.0.0.1", "localhost")


def test_tls_with_certificates(certificates):
    server, url = tls_server(certificates, lambda n, path: OK)
    result = bench(server, "ping", "--count", "200", "--connections", "3", "--pipeline", "4",
                   "--tlscacert", str(certificates / "ca.pem"),
                   "--tlscert", str(certificates / "client.pem"),
                   "--tlskey", str(certificates / "client.key"), url=url)
    server.socket.close()
    assert result["operations"] == 200 and result["failed"] == 0


def test_tls_refuses_a_stranger(certificates, tmp_path):
    server, url = tls_server(certificates, lambda n, path: OK)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "x.key",
                    "-out", "x.pem", "-subj", "/CN=x"], cwd=tmp_path, check=True,
                   stderr=subprocess.DEVNULL)
    done = subprocess.run([BENCH, "-H", url, "ping", "--tlscacert", str(tmp_path / "x.pem")],
                          text=True, stderr=subprocess.PIPE, timeout=20)
    server.socket.close()
    assert done.returncode == 1 and "TLS" in done.stderr


@pytest.mark.parametrize("words", [
    ["list", "--prepare", "3", "--count", "5"],
    ["inspect", "--count", "5"],
    ["lifecycle", "--count", "2"],
    ["lifecycle", "--network", "bridge", "--publish", "3", "--count", "1"],
    ["exec", "--count", "2"],
    ["events", "--subscribers", "3", "--count", "3"],
    ["memory", "--count", "2", "--hold", "0"],
    ["log-write", "--size", "1", "--log", "json-file", "--count", "1"],
    ["log-read", "--size", "1", "--log", "json-file", "--count", "1"],
    ["attach", "--size", "1", "--count", "1"],
    ["health", "--prepare", "1", "--hold", "1"],
    ["network", "--count", "2"],
    ["stats", "--prepare", "2", "--duration", "0.3"],
    ["archive-put", "--size", "1", "--count", "2"],
    ["archive-get", "--size", "1", "--count", "2"],
    ["commit", "--size", "1", "--count", "2"],
], ids=" ".join)
def test_every_scenario_on_a_real_daemon(berthd, words):
    result = bench(None, *words, url="unix://" + berthd.socket)
    assert result["failed"] == 0 and result["operations"] > 0
    assert not result["errors"]


def test_traffic_through_a_published_port(berthd):
    done = berthd.in_netns(BENCH, "-H", "unix://" + berthd.socket, "forward", "--network", "bridge", "--publish", "1", "--size", "1",
                           "--duration", "0.2", "--json", "-", capture_output=True, text=True)
    result = json.loads(done.stdout[done.stdout.index("\n{") + 1:])
    assert result["phases_ns"]["ping-pong"]["count"] == result["operations"] > 0
    assert result["phases_ns"]["there and back"]["count"] == 1 and not result["errors"]


def test_an_upload_that_is_refused_is_told(serve):
    full = b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    created = b'HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{"Id":"x"}'
    server = serve(lambda n, path: created if "/create" in path else full if "/archive" in path else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    result = bench(server, "archive-put", "--size", "1", "--count", "2", expect=3)
    assert result["failed"] == result["operations"] == 2
