"""The harness of the wire tests: a real daemon on a temporary root, in a network namespace of its own.

BERTHD names the daemon's binary.  Whatever a test leaves, the fixture's end removes and reports.
"""
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

BERTHD = os.environ.get("BERTHD", "build/dev/berthd")
LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    def __init__(self, args=(), root=None):
        self.root = root or tempfile.mkdtemp(prefix="berth-wire-")
        self.socket = os.path.join(self.root, "d.sock")
        self.data = os.path.join(self.root, "data")
        self.run = os.path.join(self.root, "run")
        self.log_path = os.path.join(self.root, "log")
        self.args = list(args)
        self.netns = "bw%d" % (os.getpid() % 100000) + os.path.basename(self.root)[-4:]
        self.process = None
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        self.in_netns("ip", "link", "set", "lo", "up")

    def in_netns(self, *argv, check=True, **kw):
        return subprocess.run(["ip", "netns", "exec", self.netns, *argv], check=check, **kw)

    def start(self, *more, wait=True, env=None):
        config = os.path.join(self.root, "daemon.json")
        if not os.path.exists(config):
            with open(config, "w") as f:
                f.write("{}")
        argv = ["nsenter", "--net=/run/netns/" + self.netns, "--", BERTHD, "-H", "unix://" + self.socket, "--data-root", self.data,
                "--exec-root", self.run, "--config-file", config, *self.args, *more]
        environment = dict(os.environ)
        options = [o for o in environment.get("ASAN_OPTIONS", "").split(":") if o and not o.startswith("detect_leaks")]
        environment["ASAN_OPTIONS"] = ":".join(options + ["detect_leaks=1"])
        environment.update(env or {})
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log, env=environment)
        if wait:
            self.wait_up()
        return self

    def wait_up(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError("the daemon ended with %s:\n%s" % (self.process.returncode, self.log_text()))
            try:
                if self.api("GET", "/_ping")[0] == 200 and self.api("GET", "/info")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError("the daemon does not answer:\n" + self.log_text())

    def log_text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, seconds=40):
        if not self.process:
            return 0
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process = None
        return code

    def kill9(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    @property
    def env(self):
        return dict(os.environ, DOCKER_HOST="unix://" + self.socket, DOCKER_CONFIG=os.path.join(self.root, "cli"))

    def docker(self, *args, check=True, input=None, timeout=60, binary="docker", text=True):
        done = subprocess.run([binary, *args], env=self.env, input=input, timeout=timeout, capture_output=True, text=text)
        if check and done.returncode:
            raise AssertionError("docker %s: %s\n%s\n%s" % (" ".join(args), done.returncode, done.stdout, done.stderr))
        return done

    def out(self, *args, **kw):
        return self.docker(*args, **kw).stdout.strip()

    def api(self, method, path, body=None, headers=None, timeout=30):
        connection = UnixConnection(self.socket, timeout)
        sent = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def json(self, method, path, body=None):
        status, text, _ = self.api(method, path, body)
        return status, json.loads(text) if text else None

    def load_busybox(self):
        tar = os.path.join(self.root, "busybox.tar")
        subprocess.run([os.path.join(LIB, "mkbusybox"), tar], check=True)
        self.docker("import", "-c", 'CMD ["sh"]', tar, "busybox")
        return tar

    # ---- what may be left ----

    def processes(self):
        """Processes but the daemon that hold a file below our root open: monitors, runtimes, helpers."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    line = f.read()
                if b"berthd" in line.split(b"\0")[0] or int(pid) == os.getpid():
                    continue
                files = [os.readlink("/proc/%s/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%s/fd" % pid)]
                if line and any(name.startswith(self.root + "/") and not name.endswith("/log") for name in files):
                    found.append((int(pid), line))
            except OSError:
                pass
        return found

    def mounts(self):
        with open("/proc/self/mountinfo") as f:
            return [line for line in f if self.root in line]

    def links(self):
        text = self.in_netns("ip", "-o", "link", capture_output=True, text=True).stdout
        return [line.split(":")[1].strip() for line in text.splitlines() if "veth" in line]

    def cgroups(self):
        found = []
        for controller in ("memory", "pids"):
            base = "/sys/fs/cgroup/%s/docker" % controller
            if os.path.isdir(base):
                found += [d for d in os.listdir(base) if len(d) == 64 and os.path.isdir(os.path.join(base, d))
                          and d in self.seen]
        return found

    seen = ()

    def leftovers(self):
        left = {"processes": self.processes(), "mounts": self.mounts(), "cgroups": self.cgroups()}
        return {k: v for k, v in left.items() if v}

    def contained(self):
        """The processes of our containers, by their cgroup."""
        try:
            ids = os.listdir(os.path.join(self.data, "containers"))
        except OSError:
            return []
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cgroup" % pid) as f:
                    text = f.read()
            except OSError:
                continue
            if any("/" + cid in text for cid in ids):
                found.append(int(pid))
        return found

    def remove_cgroups(self):
        try:
            ids = os.listdir(os.path.join(self.data, "containers"))
        except OSError:
            return
        for folder in glob.glob("/sys/fs/cgroup/*/docker") + ["/sys/fs/cgroup/docker"]:
            for cid in ids:
                for _ in range(20):
                    try:
                        os.rmdir(os.path.join(folder, cid))
                    except FileNotFoundError:
                        break
                    except OSError:  # what was killed is not gone yet
                        time.sleep(0.02)
                    else:
                        break

    def clean(self):
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process = None
        for pid in self.contained():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.remove_cgroups()
        for _ in range(50):
            left = self.processes()
            if not left:
                break
            for pid, _line in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.1)
        for line in reversed(self.mounts()):
            subprocess.run(["umount", "-l", line.split()[4]], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "del", self.netns], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.root, ignore_errors=True)


def check_clean(d):
    """A daemon that was told to end leaves nothing, and its sanitizers were silent."""
    if d.process:
        assert d.stop() == 0, d.log_text()
    assert not d.leftovers()
    if os.path.exists(d.log_path):
        assert "Sanitizer" not in d.log_text() and "runtime error" not in d.log_text(), d.log_text()


@pytest.fixture
def fresh(request):
    """A daemon of the test's own, not started, without images."""
    d = Daemon()
    failed_before = request.session.testsfailed
    try:
        yield d
        if request.session.testsfailed == failed_before:
            check_clean(d)
    finally:
        if request.session.testsfailed > failed_before and os.path.exists(d.log_path):
            print(d.log_text()[-8000:])
        d.clean()


@pytest.fixture(scope="module")
def berthd(request):
    """A started daemon with busybox, shared by the tests of one file."""
    d = Daemon()
    failed_before = request.session.testsfailed
    try:
        d.start()
        d.load_busybox()
        yield d
        ids = d.out("ps", "-aq", "--no-trunc").split()
        if ids:
            d.docker("rm", "-f", *ids)
        check_clean(d)
    finally:
        if request.session.testsfailed > failed_before:
            print(d.log_text()[-8000:])
        d.clean()


def until(what, seconds=10):
    """Calls what until it is true; its last value."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)
