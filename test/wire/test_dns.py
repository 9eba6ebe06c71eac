"""Names on networks of clients: 127.0.0.11 inside each container, over UDP and TCP."""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from conftest import until
from registry_rig import LIBC, CLONE_NEWNET

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dns_client.py")
OK, SERVFAIL, NXDOMAIN = 0, 2, 3


def ask(d, name, *questions, transport="udp", server="127.0.0.11"):
    """The answers inside a container's namespace."""
    pid = d.out("inspect", "-f", "{{.State.Pid}}", name)
    done = subprocess.run(["nsenter", "--net=/proc/%s/ns/net" % pid, sys.executable, CLIENT, server, "53", transport, *questions],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one(d, name, question, kind="A", **how):
    return ask(d, name, question, kind, **how)[0]


def run(d, name, *options, command=("sleep", "1000")):
    d.docker("run", "-d", "--name", name, *options, "busybox", *command)


def address(d, name, network):
    return d.out("inspect", "-f", "{{(index .NetworkSettings.Networks \"%s\").IPAddress}}" % network, name)


@pytest.fixture
def net(berthd):
    berthd.docker("network", "create", "dnsnet")
    berthd.docker("network", "create", "other")
    yield berthd
    ids = berthd.out("ps", "-aq").split()
    if ids:
        berthd.docker("rm", "-f", *ids)
    berthd.docker("network", "rm", "dnsnet", "other")


def test_every_name_of_a_container(net):
    run(net, "asker", "--network", "dnsnet")
    run(net, "web", "--network", "dnsnet", "--network-alias", "Www", "--hostname", "webhost")
    ip = address(net, "web", "dnsnet")
    short = net.out("ps", "-q", "-f", "name=web")
    for name in ("web", "WEB", "www", "webhost", short, "web.dnsnet", "www.dnsnet", "web."):
        assert one(net, "asker", name) == {"rcode": OK, "answers": [ip], "truncated": False}, name
    assert one(net, "asker", "web", "AAAA") == {"rcode": OK, "answers": [], "truncated": False}
    assert one(net, "asker", "web", transport="tcp")["answers"] == [ip]
    reverse = ".".join(reversed(ip.split("."))) + ".in-addr.arpa"
    assert one(net, "asker", reverse, "PTR")["answers"] == ["web.dnsnet"]
    assert one(net, "web", "web")["answers"] == [ip]
    text = net.out("exec", "asker", "cat", "/etc/resolv.conf")
    assert "nameserver 127.0.0.11\n" in text and "options ndots:0" in text.replace("edns0 trust-ad ", "") and "# ExtServers: [" in text


def test_an_alias_of_several_is_all_of_them(net):
    run(net, "asker", "--network", "dnsnet")
    for i in range(3):
        run(net, "s%d" % i, "--network", "dnsnet", "--network-alias", "svc")
    all_of_them = {address(net, "s%d" % i, "dnsnet") for i in range(3)}
    seen = {tuple(one(net, "asker", "svc")["answers"]) for _ in range(12)}
    assert all(set(order) == all_of_them for order in seen) and len(seen) > 1
    net.docker("stop", "-t", "0", "s0")
    assert len(one(net, "asker", "svc")["answers"]) == 2


def test_names_stay_on_their_network(net):
    run(net, "asker", "--network", "dnsnet", "--dns", "127.0.0.9")
    run(net, "stranger", "--network", "other")
    assert one(net, "asker", "stranger")["answers"] == []
    net.docker("network", "connect", "--alias", "late", "dnsnet", "stranger")
    ip = address(net, "stranger", "dnsnet")
    assert one(net, "asker", "stranger")["answers"] == [ip] and one(net, "asker", "late")["answers"] == [ip]
    assert one(net, "asker", "late.other")["answers"] == []
    net.docker("rename", "stranger", "friend")
    assert one(net, "asker", "friend")["answers"] == [ip] and one(net, "asker", "stranger")["answers"] == []
    net.docker("network", "disconnect", "dnsnet", "friend")
    assert one(net, "asker", "friend")["answers"] == []


def test_links_are_of_one_container_alone(net):
    run(net, "db", "--network", "dnsnet")
    run(net, "linked", "--network", "dnsnet", "--link", "db:database")
    run(net, "plain", "--network", "dnsnet", "--dns", "127.0.0.9")
    assert one(net, "linked", "database")["answers"] == [address(net, "db", "dnsnet")]
    assert one(net, "plain", "database")["answers"] == []


def test_a_name_server_of_its_own(net):
    """Port 53 of every other address is the container's."""
    run(net, "own", "--network", "dnsnet", command=("sh", "-c", "sleep 1000 | nc -u -l -p 53 -s 0.0.0.0"))
    assert net.out("inspect", "-f", "{{.State.Running}}", "own") == "true"
    assert one(net, "own", "own")["answers"] == [address(net, "own", "dnsnet")]


def test_connected_while_it_runs(net):
    run(net, "late")
    before = net.out("exec", "late", "cat", "/etc/resolv.conf")
    assert "127.0.0.11" not in before
    run(net, "web", "--network", "dnsnet")
    net.docker("network", "connect", "dnsnet", "late")
    assert "nameserver 127.0.0.11" in net.out("exec", "late", "cat", "/etc/resolv.conf")
    assert one(net, "late", "web")["answers"] == [address(net, "web", "dnsnet")]
    assert one(net, "web", "late")["answers"] == [address(net, "late", "dnsnet")]


def test_ipv6(berthd):
    berthd.docker("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six")
    run(berthd, "a6", "--network", "six")
    run(berthd, "b6", "--network", "six")
    ip6 = berthd.out("inspect", "-f", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}", "b6")
    assert one(berthd, "a6", "b6", "AAAA")["answers"] == [ip6]
    assert one(berthd, "a6", "b6")["answers"] == [address(berthd, "b6", "six")]
    full = "".join("%04x" % int(part or "0", 16) for part in socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, ip6)).split(":"))
    packed = socket.inet_pton(socket.AF_INET6, ip6).hex()
    assert full
    assert one(berthd, "a6", ".".join(reversed(packed)) + ".ip6.arpa", "PTR")["answers"] == ["b6.six"]
    berthd.docker("rm", "-f", "a6", "b6")
    berthd.docker("network", "rm", "six")


# ---- other servers ----

class Upstream:
    """A server in the daemon's namespace (or that of a pid): every A is 203.0.113.N of its own, unless it is told otherwise."""

    def __init__(self, netns_file, address="127.0.0.1", last=1, mode="answer"):
        self.asked, self.mode, self.last = [], mode, last
        self.udp, self.tcp = self.open(netns_file, address)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    @staticmethod
    def open(netns_file, address):
        made = []

        def work():
            fd = os.open(netns_file, os.O_RDONLY)
            assert LIBC.setns(fd, CLONE_NEWNET) == 0
            os.close(fd)
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                s = socket.socket(socket.AF_INET, kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((address, 53))
                made.append(s)
            made[1].listen(16)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return made

    def answer(self, query, tcp=False):
        self.asked.append(("tcp" if tcp else "udp", query))
        at = 12
        while query[at]:
            at += 1 + query[at]
        question = query[12:at + 5]
        if self.mode == "servfail":
            return query[:2] + struct.pack(">HHHHH", 0x8182, 1, 0, 0, 0) + question
        if self.mode == "big" and not tcp:
            return query[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + question
        count = 60 if self.mode == "big" else 1
        records = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + bytes([203, 0, 113, self.last + i]) for i in range(count))
        return query[:2] + struct.pack(">HHHHH", 0x8180, 1, count, 0, 0) + question + records

    def serve_udp(self):
        while True:
            try:
                query, who = self.udp.recvfrom(65536)
            except OSError:
                return
            if self.mode != "silent":
                if self.mode == "forged":
                    self.udp.sendto(bytes([query[0] ^ 1]) + self.answer(query)[1:], who)  # another id
                    self.udp.sendto(query[:2] + struct.pack(">HHHHH", 0x8180, 1, 0, 0, 0) + b"\x04evil\x00\x00\x01\x00\x01", who)
                self.udp.sendto(self.answer(query), who)
            else:
                self.asked.append(("udp", query))

    def serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            head = s.recv(2)
            reply = self.answer(s.recv(struct.unpack(">H", head)[0]), True)
            s.sendall(struct.pack(">H", len(reply)) + reply)
            s.close()

    def close(self):
        self.udp.close()
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()


@pytest.fixture
def upstream(net):
    """Two servers on the bridge's side of the network: "gateway" and the one behind it."""
    gateway = net.out("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "dnsnet")
    run(net, "keeper", "--network", "dnsnet")  # the bridge is there
    second = gateway.rsplit(".", 1)[0] + ".250"
    bridge = "br-" + net.out("network", "inspect", "-f", "{{.Id}}", "dnsnet")[:12]
    net.in_netns("ip", "addr", "add", second + "/16", "dev", bridge)
    servers = [Upstream("/run/netns/" + net.netns, ip, last) for ip, last in ((gateway, 1), (second, 100))]
    yield net, gateway, second, servers
    for server in servers:
        server.close()


def test_the_rest_is_asked_elsewhere(upstream):
    d, gateway, second, servers = upstream
    run(d, "asker", "--network", "dnsnet", "--dns", gateway, "--dns", second)
    assert one(d, "asker", "example.com") == {"rcode": OK, "answers": ["203.0.113.1"], "truncated": False}
    assert one(d, "asker", "single")["answers"] == ["203.0.113.1"]
    assert not servers[1].asked
    servers[0].mode = "forged"
    assert one(d, "asker", "forged.example")["answers"] == ["203.0.113.1"]
    servers[0].mode = "servfail"
    assert one(d, "asker", "fails.example")["answers"] == ["203.0.113.100"]
    servers[0].mode = "silent"
    assert one(d, "asker", "silent.example")["answers"] == ["203.0.113.100"]
    servers[1].mode = "servfail"
    assert one(d, "asker", "nobody.example")["rcode"] == SERVFAIL
    servers[0].mode = servers[1].mode = "big"
    assert one(d, "asker", "big.example") == {"rcode": OK, "answers": [], "truncated": True}
    assert len(one(d, "asker", "big.example", transport="tcp")["answers"]) == 60


def test_the_daemons_servers(fresh):
    """--dns of the daemon, and none of the container's own."""
    fresh.start("--dns", "172.30.1.1", "--default-address-pool", "base=172.30.0.0/16,size=24")
    fresh.load_busybox()
    fresh.docker("network", "create", "dnsnet")
    run(fresh, "asker", "--network", "dnsnet")
    server = Upstream("/run/netns/" + fresh.netns, "0.0.0.0")
    assert one(fresh, "asker", "example.com")["answers"] == ["203.0.113.1"]
    server.close()
    fresh.docker("rm", "-f", "asker")
    fresh.docker("network", "rm", "dnsnet")


def test_an_internal_network_asks_nobody(upstream):
    d, gateway, _, servers = upstream
    d.docker("network", "create", "--internal", "shut")
    run(d, "inside", "--network", "shut", "--dns", gateway)
    run(d, "peer", "--network", "shut")
    assert one(d, "inside", "peer")["answers"] == [address(d, "peer", "shut")]
    assert one(d, "inside", "example.com") == {"rcode": SERVFAIL, "answers": [], "truncated": False}
    assert not servers[0].asked
    d.docker("rm", "-f", "inside", "peer")
    d.docker("network", "rm", "shut")


# ---- life ----

def test_after_the_death_of_the_daemon(fresh):
    fresh.start()
    fresh.load_busybox()
    fresh.docker("network", "create", "dnsnet")
    run(fresh, "asker", "--network", "dnsnet")
    run(fresh, "web", "--network", "dnsnet", "--network-alias", "www")
    ip = address(fresh, "web", "dnsnet")
    for _ in range(2):
        fresh.kill9()
        fresh.start()
        assert until(lambda: one(fresh, "asker", "www")["answers"] == [ip])
    fresh.docker("restart", "-t", "0", "web")
    assert one(fresh, "asker", "web")["answers"] == [address(fresh, "web", "dnsnet")]
    fresh.docker("rm", "-f", "asker", "web")
    fresh.docker("network", "rm", "dnsnet")


def test_garbage_does_no_harm(net):
    """S107: what is no question, what never ends, what is too much."""
    run(net, "bad", "--network", "dnsnet")
    run(net, "good", "--network", "dnsnet")
    pid = net.out("inspect", "-f", "{{.State.Pid}}", "bad")
    script = r'''
import os, random, socket, struct
random.seed(7)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.connect(("127.0.0.11", 53))
head = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0)
shapes = [b"", b"x", os.urandom(512), head, head + b"\xc0\x0c\x00\x01\x00\x01", head + b"\x3f" * 300, head + b"\x01a" * 130 + b"\0\0\1\0\1",
          struct.pack(">HHHHHH", 1, 0x0100, 65535, 65535, 65535, 65535) + b"\x01a\0\0\1\0\1", b"\xff" * 12, b"\0" * 60000]
for i in range(3000):
    p = bytearray(random.choice(shapes))
    for _ in range(random.randrange(4)):
        if p: p[random.randrange(len(p))] = random.randrange(256)
    try: u.send(bytes(p))
    except OSError: pass
for i in range(80):
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(("127.0.0.11", 53))
        s.sendall(random.choice([b"\0", b"\xff\xff" + os.urandom(1000), b"\0\0\0\0\0\1", b"\0\x0c" + head]))
    except OSError: pass
    if i % 2: s.close()
'''
    subprocess.run(["nsenter", "--net=/proc/%s/ns/net" % pid, sys.executable, "-c", script], check=True, timeout=120)
    assert one(net, "good", "bad")["answers"] == [address(net, "bad", "dnsnet")]
    assert until(lambda: one(net, "bad", "good")["answers"] == [address(net, "good", "dnsnet")])


def test_a_flood_of_one_is_not_felt_by_others(upstream):
    d, gateway, _, servers = upstream
    servers[0].mode = "silent"
    run(d, "flood", "--network", "dnsnet", "--dns", gateway)
    run(d, "calm", "--network", "dnsnet", "--dns", gateway)
    pid = d.out("inspect", "-f", "{{.State.Pid}}", "flood")
    script = r'''
import socket, struct
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.connect(("127.0.0.11", 53))
for i in range(20000):
    name = b"f%d" % i
    u.send(struct.pack(">HHHHHH", i & 65535, 0x0100, 1, 0, 0, 0) + bytes([len(name)]) + name + b"\0\0\1\0\1")
'''
    subprocess.run(["nsenter", "--net=/proc/%s/ns/net" % pid, sys.executable, "-c", script], check=True, timeout=60)
    assert one(d, "calm", "flood")["answers"] == [address(d, "flood", "dnsnet")]
    servers[0].mode = "answer"
    assert one(d, "calm", "example.com")["answers"] == ["203.0.113.1"]
    assert len({query for _, query in servers[0].asked}) <= 300
