"""IPv6 networks: out with the host's address, in by published ports alone, nothing across; real traffic on a host of its own."""
import subprocess

import pytest

from conftest import check_clean, until
from test_ports import World

A, B = "fd00:a::/64", "fd00:b::/64"
WHO = """
import socket
s = socket.create_server(("fd77::2", 8000), family=socket.AF_INET6)
s.settimeout(20)
print("ready", flush=True)
print(s.accept()[1][0], flush=True)
"""


class World6(World):
    def __init__(self):
        super().__init__()
        for netns, link, address in ((self.d.netns, "out0", "fd77::1/64"), (self.far, "eth0", "fd77::2/64")):
            subprocess.run(["ip", "-n", netns, "addr", "add", address, "dev", link, "nodad"], check=True)
        subprocess.run(["ip", "-n", self.far, "-6", "route", "add", "default", "via", "fd77::1"], check=True)


@pytest.fixture(scope="module")
def world(request):
    w = World6()
    failed = request.session.testsfailed
    try:
        w.d.start()
        w.d.load_busybox()
        w.d.docker("network", "create", "--ipv6", "--subnet", A, "a")
        w.d.docker("network", "create", "--ipv6", "--subnet", B, "b")
        yield w
        w.d.docker("network", "rm", "a", "b")
        check_clean(w.d)
    finally:
        if request.session.testsfailed > failed:
            print(w.d.log_text()[-8000:])
        w.done()


@pytest.fixture(autouse=True)
def no_container_stays(request):
    yield
    d = request.getfixturevalue("world").d
    ids = d.out("ps", "-aq").split()
    if ids:
        d.docker("rm", "-f", *ids)


def nft(d, *words):
    return d.in_netns("nft", *words, capture_output=True, text=True, check=False).stdout


def address(d, name, network):
    return d.out("inspect", "-f", "{{.NetworkSettings.Networks.%s.GlobalIPv6Address}}" % network, name)


def settled(world, name, host, port=80):
    """An address is in use once the kernel has found nobody else with it."""
    return until(lambda: world.ask_inside(name, host, port))


def test_within_a_network_and_not_across(world):
    world.serve("--network", "a", name="web")
    world.d.docker("run", "-d", "--name", "near", "--network", "a", "busybox", "sleep", "600")
    world.d.docker("run", "-d", "--name", "other", "--network", "b", "busybox", "sleep", "600")
    web = address(world.d, "web", "a")
    assert settled(world, "near", web) == "it is web"
    assert world.ask(web, 80) == "it is web"  # the host itself
    assert world.ask_inside("other", web, 80) is None
    world.d.docker("network", "connect", "a", "other")
    assert settled(world, "other", web) == "it is web"


def test_out_with_the_hosts_address(world):
    """The machine behind the host has no way back to the container's own address, and needs none."""
    world.d.docker("run", "-d", "--name", "inner", "--network", "a", "busybox", "sleep", "600")
    server = subprocess.Popen(["ip", "netns", "exec", world.far, "/usr/bin/python3", "-c", WHO], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline().strip() == "ready"
        assert until(lambda: world.d.docker("exec", "inner", "nc", "-w", "3", "fd77::2", "8000", check=False, input="").returncode == 0)
        assert server.stdout.readline().strip() == "fd77::1"
    finally:
        server.kill()
        server.wait()


def test_in_by_published_ports_alone(world):
    """A neighbour with a route to the container's subnet: the unpublished address is not reached, not even by its published port."""
    world.serve("--network", "a", "-p", "8080:80")
    web = address(world.d, "web", "a")
    assert until(lambda: world.ask(web, 80)) == "it is web"
    assert world.ask(web, 80, world.far) is None
    assert world.ask("fd77::1", 8080, world.far) == "it is web"
    assert world.ask("::1", 8080) == "it is web"


def test_the_host_is_no_router_for_others(world):
    """It was the daemon that made the host forward: what concerns no bridge of ours is dropped."""
    world.d.docker("run", "-d", "--network", "a", "busybox", "sleep", "600")
    assert world.d.in_netns("cat", "/proc/sys/net/ipv6/conf/all/forwarding", capture_output=True, text=True).stdout.strip() == "1"
    chain = nft(world.d, "list", "ruleset", "ip6").split("chain forward")[1]
    assert "policy drop" in chain.split("}")[0]


def test_an_internal_network_has_no_way_out_or_in(world):
    d = world.d
    d.docker("network", "create", "--internal", "--ipv6", "--subnet", "fd00:c::/64", "shut")
    try:
        world.serve("--network", "shut", "--cap-add", "NET_ADMIN")
        d.docker("run", "-d", "--name", "near", "--network", "shut", "busybox", "sleep", "600")
        d.docker("run", "-d", "--name", "other", "--network", "b", "busybox", "sleep", "600")
        web = address(d, "web", "shut")
        assert settled(world, "near", web) == "it is web"
        d.docker("exec", "web", "ip", "-6", "route", "add", "default", "via", "fd00:c::1")
        ping = ["ping", "-c", "1", "-W", "1"]
        assert until(lambda: d.docker("exec", "other", *ping, "fd77::2", check=False).returncode == 0)  # the machine is there
        assert d.docker("exec", "web", *ping, "fd77::2", check=False).returncode
        assert world.ask_inside("other", web, 80) is None
        assert world.ask(web, 80, world.far) is None
    finally:
        d.docker("rm", "-f", "web", "near", "other")
        d.docker("network", "rm", "shut")


def test_containers_that_may_not_talk(world):
    d = world.d
    d.docker("network", "create", "--ipv6", "--subnet", "fd00:d::/64", "-o", "com.docker.network.bridge.enable_icc=false", "quiet")
    try:
        world.serve("--network", "quiet")
        d.docker("run", "-d", "--name", "near", "--network", "quiet", "busybox", "sleep", "600")
        web = address(d, "web", "quiet")
        assert until(lambda: world.ask(web, 80)) == "it is web"
        assert world.ask_inside("near", web, 80) is None
    finally:
        d.docker("rm", "-f", "web", "near")
        d.docker("network", "rm", "quiet")


def test_without_masquerade_a_neighbour_gets_no_further(world):
    """Containers appear outside with their own address; what was not asked for still does not come in."""
    d = world.d
    d.docker("network", "create", "--ipv6", "--subnet", "fd00:e::/64", "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "own")
    try:
        world.serve("--network", "own")
        web = address(d, "web", "own")
        assert until(lambda: world.ask(web, 80)) == "it is web"
        assert world.ask(web, 80, world.far) is None
        assert until(lambda: d.docker("exec", "web", "ping", "-c", "1", "-W", "1", "fd77::2", check=False).returncode == 0)
    finally:
        d.docker("rm", "-f", "web")
        d.docker("network", "rm", "own")


def test_rules_that_someone_removes_come_back(world):
    world.serve("--network", "a")
    web = address(world.d, "web", "a")
    assert until(lambda: world.ask(web, 80)) == "it is web"
    name = nft(world.d, "list", "tables", "ip6").split()[2]
    nft(world.d, "delete", "table", "ip6", name)
    assert until(lambda: name in nft(world.d, "list", "tables", "ip6"))
    assert world.ask(web, 80, world.far) is None


def test_a_killed_daemon_leaves_the_rules(world):
    world.serve("--network", "a")
    web = address(world.d, "web", "a")
    assert until(lambda: world.ask(web, 80)) == "it is web"
    world.d.kill9()
    assert world.ask(web, 80, world.far) is None
    world.d.start()
    assert world.ask(web, 80, world.far) is None and world.ask(web, 80) == "it is web"


def test_a_firewall_that_is_not_ours(fresh):
    """--ip6tables=false leaves IPv6 alone, and IPv4 has its table."""
    fresh.start("--ip6tables=false")
    fresh.load_busybox()
    fresh.docker("network", "create", "--ipv6", "--subnet", A, "a")
    fresh.docker("run", "-d", "--name", "inner", "--network", "a", "busybox", "sleep", "600")
    assert "berth" in nft(fresh, "list", "tables", "ip") and nft(fresh, "list", "tables", "ip6") == ""
    fresh.docker("rm", "-f", "inner")
    fresh.docker("network", "rm", "a")
