"""Networks: made, listed, inspected, removed; containers on them reach who they should and nobody else."""
import json
import subprocess

import pytest


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
    assert "br-" not in d.in_netns("ip", "-o", "link", capture_output=True, text=True).stdout


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
    assert not d.links()
