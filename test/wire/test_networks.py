"""Networks: made, listed, inspected, removed; containers on them reach who they should and nobody else."""
import json
import os
import subprocess
import time

import pytest

from conftest import until


def inspect(d, name):
    return json.loads(d.out("network", "inspect", name))[0]


def container(d, name):
    return json.loads(d.out("inspect", name))[0]


def networks_of(d, name):
    return container(d, name)["NetworkSettings"]["Networks"]


def refused(d, text, *args):
    done = d.docker(*args, check=False)
    assert done.returncode != 0 and text in done.stderr, done.stderr


def run(d, name, *args, command=("sleep", "600")):
    return d.out("run", "-d", "--name", name, *args, "busybox", *command)


# A server may not listen yet: the client asks until it answers, and gives up where it must not.
ASK = "for i in $(seq %d); do nc -w 2 %s 80 </dev/null && exit 0; sleep 0.1; done; exit 1"


def serve(d, name, *args):
    run(d, name, *args, command=("sh", "-c", "while true; do echo hello | nc -l -p 80; done"))


def reaches(d, ip, *args, tries=50):
    return d.docker("run", "--rm", *args, "busybox", "sh", "-c", ASK % (tries, ip), check=False).stdout == "hello\n"


@pytest.fixture
def d(berthd):
    yield berthd
    names = berthd.out("ps", "-aq").split()
    if names:
        berthd.docker("rm", "-f", *names)
    for name in berthd.out("network", "ls", "-q", "--filter", "type=custom").split():
        berthd.docker("network", "rm", name)


def test_create_inspect_list_remove(d):
    made = d.out("network", "create", "--label", "a=b", "--opt", "com.docker.network.driver.mtu=1400", "one")
    n = inspect(d, "one")
    assert n["Id"] == made and n["Driver"] == "bridge" and n["Scope"] == "local" and n["Labels"] == {"a": "b"}
    assert n["Options"] == {"com.docker.network.driver.mtu": "1400"} and n["Containers"] == {} and n["EnableIPv4"]
    assert not n["EnableIPv6"] and not n["Internal"] and not n["Ingress"] and not n["ConfigOnly"]
    assert n["IPAM"]["Driver"] == "default"
    assert n["IPAM"]["Config"] == [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]
    assert d.in_netns("ip", "-o", "addr", "show", "br-" + made[:12], capture_output=True, text=True).stdout.count("172.18.0.1/16")
    assert set(d.out("network", "ls", "--format", "{{.Name}}").split()) == {"bridge", "host", "none", "one"}
    assert d.out("network", "ls", "-q", "--filter", "label=a=b", "--no-trunc") == made
    refused(d, "network with name one already exists", "network", "create", "one")
    assert d.out("network", "rm", made[:8]) == made[:8]
    refused(d, "network one not found", "network", "inspect", "one")
    assert "172.18." not in d.in_netns("ip", "route", capture_output=True, text=True).stdout
    assert until(lambda: "br-" not in d.in_netns("ip", "-o", "link", capture_output=True, text=True).stdout)


def test_containers_talk_on_their_network_and_not_across(d):
    d.docker("network", "create", "one")
    d.docker("network", "create", "two")
    serve(d, "ca", "--network", "one")
    ip = networks_of(d, "ca")["one"]["IPAddress"]
    assert ip == "172.18.0.2"
    assert reaches(d, ip, "--network", "one")
    assert not reaches(d, ip, "--network", "two", tries=1)
    assert not reaches(d, ip, tries=1)
    refused(d, "error while removing network: network one has active endpoints (name:\"ca\" id:\"", "network", "rm", "one")
    d.docker("rm", "-f", "ca")
    d.docker("network", "rm", "one", "two")


def test_what_is_refused(d):
    refused(d, "plugin \"foo\" not found", "network", "create", "-d", "foo", "x")
    refused(d, "This node is not a swarm manager.", "network", "create", "-d", "overlay", "x")
    refused(d, "only one instance of \"host\" network is allowed", "network", "create", "-d", "host", "x")
    refused(d, "operation is not permitted on predefined bridge network", "network", "create", "bridge")
    refused(d, "bridge is a pre-defined network and cannot be removed", "network", "rm", "bridge")
    d.docker("network", "create", "--subnet", "10.77.0.0/24", "one")
    refused(d, "Pool overlaps with other one on this address space", "network", "create", "--subnet", "10.77.0.0/16", "x")
    refused(d, "invalid subnet 10.80.0.1/24: it should be 10.80.0.0/24", "network", "create", "--subnet", "10.80.0.1/24", "x")
    refused(d, "failed to set up container networking: network nope not found", "run", "--network", "nope", "busybox", "true")
    d.docker("network", "rm", "one")


def test_a_killed_daemon_finds_its_networks_again(d):
    d.docker("network", "create", "--subnet", "10.77.0.0/24", "one")
    run(d, "ca", "--network", "one", "--ip", "10.77.0.9")
    before = networks_of(d, "ca")
    d.kill9()
    d.start()
    assert networks_of(d, "ca") == before and before["one"]["IPAddress"] == "10.77.0.9"
    assert list(inspect(d, "one")["Containers"].values())[0]["IPv4Address"] == "10.77.0.9/24"
    assert d.out("run", "--rm", "--network", "one", "busybox", "ping", "-c", "1", "-w", "5", "10.77.0.9")
    d.docker("rm", "-f", "ca")
    d.docker("network", "rm", "one")
    assert until(lambda: not d.links())


def test_connect_and_disconnect_a_running_container(d):
    d.docker("network", "create", "--subnet", "10.77.0.0/24", "one")
    d.docker("network", "create", "--subnet", "10.78.0.0/24", "two")
    serve(d, "ca", "--network", "one", "--network-alias", "db")
    d.docker("network", "connect", "--ip", "10.78.0.9", "--alias", "web", "two", "ca")
    on = networks_of(d, "ca")
    assert on["two"]["IPAddress"] == "10.78.0.9" and on["two"]["Aliases"] == ["web"] and on["one"]["Aliases"] == ["db"]
    short = container(d, "ca")["Id"][:12]
    assert on["two"]["DNSNames"] == ["ca", "web", short] and on["one"]["DNSNames"] == ["ca", "db", short]
    assert reaches(d, "10.77.0.2", "--network", "one") and reaches(d, "10.78.0.9", "--network", "two")
    assert "eth1" in d.out("exec", "ca", "ip", "-o", "addr", "show", "to", "10.78.0.9")
    assert "default via 10.77.0.1 dev eth0" in d.out("exec", "ca", "ip", "route")
    assert d.out("exec", "ca", "cat", "/etc/hosts").splitlines()[-2:] == ["10.77.0.2\t" + short, "10.78.0.9\t" + short]
    refused(d, "endpoint with name ca already exists in network two", "network", "connect", "two", "ca")
    d.docker("network", "disconnect", "one", "ca")
    assert set(networks_of(d, "ca")) == {"two"}
    assert "default via 10.78.0.1 dev eth1" in d.out("exec", "ca", "ip", "route")
    hosts = d.out("exec", "ca", "cat", "/etc/hosts")
    assert "10.77.0.2" not in hosts and "10.78.0.9\t" + short in hosts
    refused(d, "is not connected to network one", "network", "disconnect", "one", "ca")
    d.docker("network", "rm", "one")
    d.docker("restart", "-t", "0", "ca")
    assert set(networks_of(d, "ca")) == {"two"} and reaches(d, "10.78.0.9", "--network", "two")
    d.docker("network", "disconnect", "two", "ca")
    assert networks_of(d, "ca") == {} and "eth" not in d.out("exec", "ca", "ip", "-o", "link")
    d.docker("rm", "-f", "ca")


def test_connect_and_disconnect_a_stopped_container(d):
    for name in ("one", "two", "three"):
        d.docker("network", "create", name)
    d.docker("create", "--name", "ca", "--network", "one", "--network", "two", "busybox", "sleep", "600")
    d.docker("network", "connect", "three", "ca")
    d.docker("network", "connect", "three", "ca")
    d.docker("network", "disconnect", "two", "ca")
    assert set(networks_of(d, "ca")) == {"one", "three"}
    d.docker("start", "ca")
    assert all(s["IPAddress"] for s in networks_of(d, "ca").values())
    assert [line.split()[1] for line in d.out("exec", "ca", "ip", "-o", "-4", "addr").splitlines()] == ["lo", "eth0", "eth1"]
    d.docker("rm", "-f", "ca")
    assert set(d.out("network", "prune", "-f").split()[2:]) == {"one", "two", "three"}


def test_what_cannot_be_connected(d):
    d.docker("network", "create", "--subnet", "10.77.0.0/24", "one")
    d.docker("network", "create", "two")
    run(d, "plain", "--network", "one", "--ip", "10.77.0.50")
    run(d, "inhost", "--network", "host")
    run(d, "alone", "--network", "none")
    run(d, "shared", "--network", "container:plain")
    sharing = "container sharing network namespace with another container or host cannot be connected to any other network"
    refused(d, sharing, "network", "connect", "two", "inhost")
    refused(d, sharing, "network", "connect", "two", "shared")
    refused(d, "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            "network", "connect", "two", "alone")
    refused(d, "container cannot be disconnected from host network or connected to host network", "network", "connect", "host", "plain")
    refused(d, "container cannot be disconnected from host network or connected to host network",
            "network", "disconnect", "host", "inhost")
    refused(d, "user specified IP address is supported only when connecting to networks with user configured subnets",
            "network", "connect", "--ip", "172.18.0.9", "two", "plain")
    refused(d, "user specified IP address is supported on user defined networks only",
            "network", "connect", "--ip", "172.17.0.9", "bridge", "plain")
    refused(d, "network-scoped alias is supported only for containers in user defined networks",
            "network", "connect", "--alias", "xx", "bridge", "plain")
    refused(d, "Address already in use", "run", "--network", "one", "--ip", "10.77.0.50", "busybox", "true")
    refused(d, "no configured subnet or ip-range contain the IP address 10.79.0.1",
            "run", "--network", "one", "--ip", "10.79.0.1", "busybox", "true")
    refused(d, "network nope not found", "network", "connect", "nope", "plain")
    refused(d, "No such container: nobody", "network", "connect", "one", "nobody")
    assert d.json("POST", "/networks/two/connect", {"Container": "plain", "EndpointConfig": {"Aliases": ["a\nb"]}})[0] == 400


def test_gateway_priority_and_two_networks_in_one_run(d):
    d.docker("network", "create", "--subnet", "10.77.0.0/24", "one")
    d.docker("network", "create", "--subnet", "10.78.0.0/24", "two")
    out = d.out("run", "--rm", "--network", "one", "--network", "name=two,gw-priority=5", "busybox", "ip", "route")
    assert "default via 10.78.0.1 dev eth1" in out and "10.77.0.0/24 dev eth0" in out
    out = d.out("run", "--rm", "--network", "two", "--network", "one", "busybox", "ip", "route")
    assert "default via 10.77.0.1" in out


def test_old_clients(d):
    d.docker("network", "create", "one")
    d.docker("network", "create", "two")
    run(d, "ca", "--network", "one")
    listed = d.json("GET", "/v1.27/networks?filters={\"name\":[\"^one$\"]}")[1]
    assert [c["Name"] for c in listed[0]["Containers"].values()] == ["ca"]
    listed = d.json("GET", "/v1.28/networks?filters={\"name\":[\"^one$\"]}")[1]
    assert listed[0]["Containers"] == {}
    status, answer = d.json("POST", "/v1.43/containers/create", {
        "Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"one": {}, "two": {}}}})
    assert (status, answer["message"]) == (400, "Container cannot be created with multiple network endpoints: one, two")
    short = container(d, "ca")["Id"][:12]
    assert d.json("GET", "/v1.44/containers/ca/json")[1]["NetworkSettings"]["Networks"]["one"]["Aliases"] == [short]
    assert d.json("GET", "/v1.45/containers/ca/json")[1]["NetworkSettings"]["Networks"]["one"]["Aliases"] is None


def test_a_daemon_killed_while_networks_change(d):
    """Whatever was answered is so; whatever was not is one or the other, and everything can be undone."""
    for name in ("one", "two"):
        d.docker("network", "create", name)
    run(d, "ca", "--network", "one")
    before = networks_of(d, "ca")["one"]
    for delay in (0, 0.002, 0.005, 0.01, 0.03):
        curl = subprocess.Popen(["curl", "-s", "--unix-socket", d.socket, "-H", "Content-Type: application/json", "-d",
                                 '{"Container":"ca"}', "http://d/networks/two/connect"], stdout=subprocess.DEVNULL)
        time.sleep(delay)
        d.kill9()
        curl.wait()
        d.start()
        now = networks_of(d, "ca")
        assert now["one"] == before
        links = d.out("exec", "ca", "ls", "/sys/class/net").split()
        assert len(now) + 1 == len(links), (now, links)
        d.out("exec", "ca", "ping", "-c", "1", "-w", "5", before["Gateway"])
        if "two" in now:
            d.docker("network", "disconnect", "two", "ca")
        assert d.out("exec", "ca", "ls", "/sys/class/net").split() == ["eth0", "lo"]
    d.docker("rm", "-f", "ca")
    assert until(lambda: not d.links())
    d.docker("network", "rm", "one", "two")
    assert os.listdir(os.path.join(d.run, "endpoints")) == []


def test_another_name(d):
    d.docker("network", "create", "one")
    run(d, "ca", "--network", "one")
    d.docker("rename", "ca", "cb")
    assert [c["Name"] for c in inspect(d, "one")["Containers"].values()] == ["cb"]
    assert networks_of(d, "cb")["one"]["DNSNames"][0] == "cb"
    d.kill9()
    d.start()
    assert [c["Name"] for c in inspect(d, "one")["Containers"].values()] == ["cb"]


def test_a_network_goes_right_after_its_containers_ended(d):
    """Whoever saw a container end finds its network free, however long the rest of the end takes."""
    for i in range(6):
        d.docker("network", "create", "one")
        d.docker("run", "--name", "c%d" % i, "--network", "one", "busybox", "true")
        d.docker("network", "rm", "one")
        assert container(d, "c%d" % i)["NetworkSettings"]["Networks"]["one"]["IPAddress"] == ""
    refused(d, "network one not found", "start", "c0")


def test_an_address_is_free_once_its_container_was_seen_to_end(d):
    d.docker("network", "create", "--subnet", "10.77.0.0/24", "one")
    for name in ("ca", "cb"):
        d.docker("create", "--name", name, "--network", "one", "--ip", "10.77.0.9", "busybox", "sleep", "600")
    for now, before in (("ca", "cb"), ("cb", "ca")) * 4:
        if container(d, before)["State"]["Running"]:
            assert d.api("POST", "/containers/%s/kill" % before)[0] == 204
            assert d.api("POST", "/containers/%s/wait" % before)[0] == 200
        status, text, _ = d.api("POST", "/containers/%s/start" % now)
        assert status == 204, text
        assert networks_of(d, now)["one"]["IPAddress"] == "10.77.0.9"
