"""Published ports: every form of -p, with real traffic from the host, from a neighbour and from containers."""
import json
import os
import subprocess

import docker as docker_py
import pytest

from conftest import Daemon, check_clean, until

SERVE = "mkdir -p /w; echo \"it is $0\" >/w/index.html; httpd -f -p %d -h /w"

ASK = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
data = b""
while True:
    part = s.recv(65536)
    if not part: break
    data += part
sys.stdout.buffer.write(data)
"""


class World:
    """The daemon's host, and a second machine that is joined to it by a link."""

    def __init__(self):
        self.d = Daemon()
        self.far = self.d.netns + "f"
        subprocess.run(["ip", "netns", "add", self.far], check=True)
        ip = lambda *a: subprocess.run(["ip", *a], check=True)
        ip("-n", self.d.netns, "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", self.far)
        ip("-n", self.d.netns, "addr", "add", "10.77.0.1/24", "dev", "out0")
        ip("-n", self.d.netns, "link", "set", "out0", "up")
        ip("-n", self.far, "addr", "add", "10.77.0.2/24", "dev", "eth0")
        ip("-n", self.far, "link", "set", "eth0", "up")
        ip("-n", self.far, "link", "set", "lo", "up")
        ip("-n", self.far, "route", "add", "default", "via", "10.77.0.1")

    def ask(self, host, port, where=None):
        """The body that is served there; None when nobody answers."""
        done = subprocess.run(["ip", "netns", "exec", where or self.d.netns, "/usr/bin/python3", "-c", ASK, host, str(port)],
                              capture_output=True, timeout=20)
        return done.stdout.decode().split("\r\n\r\n")[-1].strip() if done.returncode == 0 and done.stdout else None

    def ask_inside(self, name, host, port):
        """The same from within a container."""
        done = self.d.docker("exec", name, "sh", "-c", "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 %s %d" % (host, port), check=False)
        return done.stdout.split("\n\n")[-1].strip() if done.stdout else None

    def serve(self, *args, port=80, name="web"):
        cid = self.d.out("run", "-d", "--name", name, *args, "busybox", "sh", "-c", SERVE % port, name)
        return cid

    def done(self):
        self.d.clean()
        subprocess.run(["ip", "netns", "del", self.far], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def world(request):
    w = World()
    failed = request.session.testsfailed
    try:
        w.d.start()
        w.d.load_busybox()
        yield w
        check_clean(w.d)
    finally:
        if request.session.testsfailed > failed:
            print(w.d.log_text()[-8000:])
        w.done()


@pytest.fixture(autouse=True)
def no_container_stays(request):
    yield
    if "world" in request.fixturenames:
        d = request.getfixturevalue("world").d
        ids = d.out("ps", "-aq").split()
        if ids:
            d.docker("rm", "-f", *ids)


def ports(d, name):
    return d.json("GET", "/containers/%s/json" % name)[1]["NetworkSettings"]["Ports"]


def table(d):
    text = d.in_netns("nft", "list", "tables", capture_output=True, text=True).stdout
    return next(line.split()[2] for line in text.splitlines() if "berth" in line)


def said(answer):
    return json.loads(answer[1])["message"]


def start_refused(d, *args):
    done = d.docker("run", "-d", *args, "busybox", "sleep", "1000", check=False)
    assert done.returncode == 125
    return done.stderr


def test_from_everywhere(world):
    d = world.d
    world.serve("-p", "8080:80")
    assert ports(d, "web") == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]}
    listed = d.json("GET", "/containers/json")[1][0]["Ports"]
    assert listed == [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                      {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}]
    assert d.out("port", "web") == "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080"
    address = d.json("GET", "/containers/web/json")[1]["NetworkSettings"]["IPAddress"]
    assert until(lambda: world.ask("127.0.0.1", 8080) == "it is web")
    assert world.ask("::1", 8080) == "it is web"
    assert world.ask("10.77.0.1", 8080) == "it is web"          # the host by its own address
    assert world.ask("10.77.0.1", 8080, world.far) == "it is web"  # a neighbour
    assert world.ask(address, 80) == "it is web"                # the host, directly
    assert world.ask(address, 80, world.far) is None            # a neighbour by a route: no
    assert world.ask("10.77.0.1", 80, world.far) is None        # not published
    d.out("run", "-d", "--name", "other", "busybox", "sleep", "1000")
    assert world.ask_inside("web", "10.77.0.1", 8080) == "it is web"  # itself, by the host's address
    assert world.ask_inside("other", "10.77.0.1", 8080) == "it is web"
    d.docker("stop", "-t", "0", "web")
    assert world.ask("127.0.0.1", 8080) is None
    assert ports(d, "web") == {}


TELLS_TCP = "import socket; s = socket.create_server(('', 9000))\nwhile True:\n c, a = s.accept(); c.recv(99); c.sendall(a[0].encode()); c.close()"
TELLS_UDP = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9000))\n"
             "while True:\n d, a = s.recvfrom(99); s.sendto(a[0].encode(), a)")
ASK_UDP = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.sendto(b'?', ('10.77.0.1', 5000));"
           "print(s.recv(99).decode())")


def test_the_source_address_is_kept(world):
    d = world.d
    d.out("run", "-d", "--name", "tells", "-p", "8081:9000", "-p", "5000:9000/udp", "busybox", "sleep", "1000")
    pid = d.json("GET", "/containers/tells/json")[1]["State"]["Pid"]
    inside = ["nsenter", "--net=/proc/%d/ns/net" % pid, "/usr/bin/python3", "-c"]
    servers = [subprocess.Popen(inside + [script]) for script in (TELLS_TCP, TELLS_UDP)]
    try:
        assert until(lambda: world.ask("10.77.0.1", 8081, world.far) == "10.77.0.2")
        assert world.ask("127.0.0.1", 8081) == d.json("GET", "/containers/tells/json")[1]["NetworkSettings"]["Gateway"]
        by_udp = lambda: subprocess.run(["ip", "netns", "exec", world.far, "/usr/bin/python3", "-c", ASK_UDP],
                                        capture_output=True, text=True).stdout.strip()
        assert until(lambda: by_udp() == "10.77.0.2")
    finally:
        for server in servers:
            server.kill()
            server.wait()


def test_loopback_is_the_hosts_alone(world):
    d = world.d
    world.serve("-p", "127.0.0.1:8080:80")
    assert ports(d, "web") == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    assert until(lambda: world.ask("127.0.0.1", 8080) == "it is web")
    assert world.ask("10.77.0.1", 8080) is None
    assert world.ask("10.77.0.1", 8080, world.far) is None
    subprocess.run(["ip", "-n", world.far, "route", "add", "127.0.0.1/32", "via", "10.77.0.1", "table", "local"], check=False)
    subprocess.run(["ip", "netns", "exec", world.far, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"], check=True)
    subprocess.run(["ip", "-n", world.far, "addr", "del", "127.0.0.1/8", "dev", "lo"], check=True)
    subprocess.run(["ip", "-n", world.far, "route", "add", "127.0.0.1/32", "via", "10.77.0.1"], check=True)
    assert world.ask("127.0.0.1", 8080, world.far) is None  # a neighbour who sends packets for 127.0.0.1


def test_containers_do_not_reach_the_hosts_loopback(world):
    """What makes 127.0.0.1:PORT lead to containers must not lead containers to 127.0.0.1 of the host."""
    d = world.d
    world.serve("-p", "8080:80")
    server = subprocess.Popen(["ip", "netns", "exec", d.netns, "/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", "7777"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: world.ask("127.0.0.1", 7777))
        gateway = d.json("GET", "/containers/web/json")[1]["NetworkSettings"]["Gateway"]
        d.out("run", "-d", "--name", "spy", "--privileged", "busybox", "sleep", "1000")
        d.docker("exec", "spy", "sh", "-c", "ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via %s; true" % gateway, check=False)
        assert world.ask_inside("spy", "127.0.0.1", 7777) is None
    finally:
        server.kill()
        server.wait()


def test_every_form(world):
    d = world.d
    world.serve("-p", "80", "-p", "8443:80/tcp", "-p", "9000-9002:80", "-p", "5353:53/udp", "-p", "10.77.0.1:7000:80", "--expose", "1234")
    shown = ports(d, "web")
    assert shown["1234/tcp"] is None
    assert shown["53/udp"] == [{"HostIp": "0.0.0.0", "HostPort": "5353"}]
    by_ip = [b for b in shown["80/tcp"] if b["HostIp"] == "0.0.0.0"]
    picked = [int(b["HostPort"]) for b in by_ip]
    assert 8443 in picked and any(9000 <= p <= 9002 for p in picked) and any(p >= 32768 for p in picked)
    assert {"HostIp": "10.77.0.1", "HostPort": "7000"} in shown["80/tcp"]
    for port in picked:
        assert until(lambda: world.ask("10.77.0.1", port, world.far) == "it is web")
    assert world.ask("10.77.0.1", 7000, world.far) == "it is web" and world.ask("127.0.0.1", 7000) is None
    assert d.out("ps", "-q", "-f", "publish=8443") and d.out("ps", "-q", "-f", "publish=9000-9002/tcp")
    assert d.out("ps", "-q", "-f", "expose=1234") and not d.out("ps", "-q", "-f", "publish=1234")
    ranged = d.out("run", "-d", "-p", "9000-9002:80", "busybox", "sleep", "1000")
    assert ports(d, ranged)["80/tcp"][0]["HostPort"] in ("9001", "9002")
    everything = d.out("run", "-d", "-P", "--expose", "81", "--expose", "82/udp", "busybox", "sleep", "1000")
    shown = ports(d, everything)
    assert len(shown["81/tcp"]) == 2 and len(shown["82/udp"]) == 1
    assert shown["81/tcp"][0]["HostPort"] == shown["81/tcp"][1]["HostPort"]


def test_conflicts_are_told_apart(world):
    d = world.d
    first = world.serve("-p", "8080:80")
    text = start_refused(d, "--name", "second", "-p", "8080:81")
    assert "failed to set up container networking: driver failed programming external connectivity on endpoint second (" in text
    assert "): Bind for 0.0.0.0:8080 failed: port is already allocated" in text
    assert "port is already allocated" in start_refused(d, "-p", "127.0.0.1:8080:80")
    other = subprocess.Popen(["ip", "netns", "exec", d.netns, "/usr/bin/python3", "-m", "http.server", "-b", "0.0.0.0", "7070"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: world.ask("127.0.0.1", 7070))
        text = start_refused(d, "-p", "7070:80")
        assert "failed to bind host port for 0.0.0.0:7070:172.17.0." in text and ":80/tcp: address already in use" in text
    finally:
        other.kill()
        other.wait()
    assert "cannot assign requested address" in start_refused(d, "-p", "10.66.0.1:80:80")
    busy = subprocess.run(["ip", "netns", "exec", d.netns, "/usr/bin/python3", "-c",
                           "import socket; socket.create_server(('', 8080))"], capture_output=True, text=True)
    assert "Address already in use" in busy.stderr  # the daemon holds it
    d.docker("rm", "-f", first)
    d.docker("start", "second")
    assert ports(d, "second")["81/tcp"][0]["HostPort"] == "8080"


def test_what_create_refuses(world):
    d = world.d
    create = lambda host, **more: d.api("POST", "/containers/create", dict({"Image": "busybox", "HostConfig": host}, **more))
    for host, text in (({"PortBindings": {"x": [{}]}}, 'invalid port specification: "x"'),
                       ({"PortBindings": {"0/tcp": [{}]}}, 'invalid port specification: "0/tcp"'),
                       ({"PortBindings": {"80/icmp": [{}]}}, 'invalid port specification: "80/icmp"'),
                       ({"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}, 'invalid port specification: "70000"'),
                       ({"PortBindings": {"80/tcp": [{"HostPort": "9-8"}]}}, 'invalid port specification: "9-8"'),
                       ({"PortBindings": {"80/tcp": [{"HostIp": "nowhere"}]}}, "invalid IP address: nowhere")):
        answer = create(host)
        assert (answer[0], said(answer)) == (400, text)
    d.out("create", "--name", "base", "busybox", "true")
    answer = create({"NetworkMode": "container:base", "PortBindings": {"80/tcp": [{"HostPort": "80"}]}})
    assert (answer[0], said(answer)) == (400, "conflicting options: port publishing and the container type network mode")
    status, text, _ = create({"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "80"}]}})
    assert status == 201 and "discarded when using host network mode" in text.decode()


def test_user_networks_and_restarts(world):
    d = world.d
    d.docker("network", "create", "shop")
    try:
        world.serve("--network", "shop", "-p", "8080:80")
        d.out("run", "-d", "--name", "elsewhere", "busybox", "sleep", "1000")
        assert until(lambda: world.ask("127.0.0.1", 8080) == "it is web")
        address = d.json("GET", "/containers/web/json")[1]["NetworkSettings"]["Networks"]["shop"]["IPAddress"]
        assert world.ask_inside("elsewhere", "10.77.0.1", 8080) == "it is web"  # by the published port
        assert world.ask_inside("elsewhere", address, 80) is None               # never across networks
        d.docker("restart", "-t", "0", "web")
        assert until(lambda: world.ask("127.0.0.1", 8080) == "it is web")
        d.docker("rm", "-f", "web")
    finally:
        d.docker("network", "rm", "shop", check=False)


def test_many_ports(world):
    """A thousand elements, no rule more; all of them are given back."""
    d = world.d
    rules = lambda: d.in_netns("nft", "-s", "list", "ruleset", capture_output=True, text=True).stdout
    world.serve("-p", "8080:80")
    lines = lambda: len([l for l in rules().splitlines() if "dnat" in l])
    before, files = lines(), len(os.listdir("/proc/%d/fd" % d.process.pid))
    many = d.out("run", "-d", "-p", "20000-20499:20000-20499", "busybox", "sleep", "1000")
    assert lines() == before and rules().count("tcp . 20") >= 500
    assert world.ask("127.0.0.1", 8080) == "it is web"
    d.docker("rm", "-f", many)
    assert "tcp . 20" not in rules()
    assert not until(lambda: "removed by someone else" in d.log_text(), 0.5)  # it knows its own doing
    assert until(lambda: len(os.listdir("/proc/%d/fd" % d.process.pid)) <= files + 2)


def test_docker_py(world):
    client = docker_py.DockerClient("unix://" + world.d.socket)
    c = client.containers.run("busybox", ["sleep", "1000"], detach=True, ports={"80/tcp": None, "81/tcp": ("127.0.0.1", 8181)})
    c.reload()
    assert c.ports["81/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8181"}]
    assert int(c.ports["80/tcp"][0]["HostPort"]) >= 32768
    c.remove(force=True)
    client.close()


def test_a_killed_daemon_leaves_them_open(world):
    """The kernel goes on translating; the next daemon holds the ports again and gives them back in the end."""
    d = world.d
    world.serve("-p", "8080:80")
    assert until(lambda: world.ask("10.77.0.1", 8080, world.far) == "it is web")
    d.kill9()
    assert world.ask("10.77.0.1", 8080, world.far) == "it is web"
    assert world.ask("127.0.0.1", 8080) == "it is web"
    d.start()
    assert ports(d, "web") == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]}
    assert world.ask("::1", 8080) == "it is web"
    assert "port is already allocated" in start_refused(d, "-p", "8080:80")
    taken = lambda: d.in_netns("nft", "delete", "element", "ip", table(d), "published", "{ tcp . 8080 }", check=False).returncode == 0
    assert until(taken)  # busy while somebody else changes the ruleset
    assert until(lambda: world.ask("10.77.0.1", 8080, world.far) == "it is web")
    d.in_netns("nft", "flush", "ruleset")
    assert until(lambda: "8080" in d.in_netns("nft", "list", "ruleset", capture_output=True, text=True).stdout)
    d.docker("rm", "-f", "web")
    assert "8080" not in d.in_netns("nft", "list", "ruleset", capture_output=True, text=True).stdout
    assert world.ask("127.0.0.1", 8080) is None
