"""Networks: macvlan, ipvlan, IPv6, the daemon's own options, links of old, MAC addresses, docker-py."""
import json
import os
import random
import subprocess
import threading
import time

import docker as sdk
import pytest

from test_networks import container, inspect, networks_of, reaches, refused, run, serve
from conftest import until


@pytest.fixture
def d(berthd):
    yield berthd
    names = berthd.out("ps", "-aq").split()
    if names:
        berthd.docker("rm", "-f", *names)
    for name in berthd.out("network", "ls", "-q", "--filter", "type=custom").split():
        berthd.docker("network", "rm", name)


@pytest.fixture
def parent(d):
    """A wire: one end for networks to be on, the other in the hands of the test."""
    d.in_netns("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "far0")
    for name in ("wire0", "far0"):
        d.in_netns("ip", "link", "set", name, "up")
    d.in_netns("ip", "addr", "add", "10.90.0.99/24", "dev", "far0")
    yield "wire0"
    d.in_netns("ip", "link", "del", "wire0", check=False)


def test_macvlan(d, parent):
    d.docker("network", "create", "-d", "macvlan", "--subnet", "10.90.0.0/24", "--gateway", "10.90.0.99", "-o", "parent=wire0", "mv")
    serve(d, "ca", "--network", "mv", "--ip", "10.90.0.7")
    assert networks_of(d, "ca")["mv"]["Gateway"] == "10.90.0.99"
    assert "default via 10.90.0.99 dev eth0" in d.out("exec", "ca", "ip", "route")
    assert reaches(d, "10.90.0.7", "--network", "mv")
    # from beyond the wire
    beyond = "import socket; print(socket.create_connection(('10.90.0.7', 80), 10).recv(9).decode().strip())"
    assert until(lambda: d.in_netns("/usr/bin/python3", "-c", beyond, check=False, capture_output=True, text=True).stdout == "hello\n")
    d.docker("network", "create", "one")
    d.docker("network", "connect", "one", "ca")
    d.docker("network", "disconnect", "mv", "ca")
    assert "eth0" not in d.out("exec", "ca", "ls", "/sys/class/net")
    assert "default via" in d.out("exec", "ca", "ip", "route")
    d.docker("network", "connect", "--ip", "10.90.0.8", "mv", "ca")
    d.kill9()
    d.start()
    assert networks_of(d, "ca")["mv"]["IPAddress"] == "10.90.0.8"
    d.docker("network", "disconnect", "mv", "ca")
    assert d.out("exec", "ca", "ls", "/sys/class/net").split() == ["eth1", "lo"]


def test_macvlan_and_ipvlan_refusals(d, parent):
    refused(d, "loopback interface is not a valid macvlan parent link", "network", "create", "-d", "macvlan", "-o", "parent=lo", "x")
    refused(d, "invalid subinterface vlan name nope, example formatting is eth0.10",
            "network", "create", "-d", "macvlan", "-o", "parent=nope", "x")
    refused(d, "-o parent interface does was not found on the host: nope",
            "network", "create", "-d", "macvlan", "-o", "parent=nope.10", "x")
    refused(d, "requested macvlan mode 'bad' is not valid, 'bridge' mode is the macvlan driver default",
            "network", "create", "-d", "macvlan", "-o", "parent=wire0", "-o", "macvlan_mode=bad", "x")
    refused(d, "requested ipvlan mode 'bad' is not valid, 'l2' mode is the ipvlan driver default",
            "network", "create", "-d", "ipvlan", "-o", "parent=wire0", "-o", "ipvlan_mode=bad", "x")
    d.docker("network", "create", "-d", "ipvlan", "-o", "parent=wire0", "--subnet", "10.91.0.0/24", "-o", "ipvlan_mode=l3", "iv")
    refused(d, "is already using parent interface wire0", "network", "create", "-d", "ipvlan", "-o", "parent=wire0", "x")
    done = d.docker("run", "--rm", "--network", "iv", "busybox", "ip", "route", check=False)
    if done.returncode:  # this kernel may have no ipvlan; then it says so, and nothing is left
        assert "peration not supported" in done.stderr
    else:
        assert "default dev eth0" in done.stdout
    assert "x" not in d.out("network", "ls", "--format", "{{.Name}}").split()


def test_ipv6(d):
    d.docker("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six")
    n = inspect(d, "six")
    assert n["EnableIPv6"] and [c["Subnet"] for c in n["IPAM"]["Config"]] == ["fd00:77::/64", "172.18.0.0/16"]
    run(d, "ca", "--network", "six", "--ip6", "fd00:77::9")
    on = networks_of(d, "ca")["six"]
    assert (on["GlobalIPv6Address"], on["GlobalIPv6PrefixLen"], on["IPv6Gateway"]) == ("fd00:77::9", 64, "fd00:77::1")
    assert on["IPAddress"] == "172.18.0.2"
    assert list(inspect(d, "six")["Containers"].values())[0]["IPv6Address"] == "fd00:77::9/64"
    assert "default via fd00:77::1" in d.out("exec", "ca", "ip", "-6", "route")
    assert d.out("exec", "ca", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra") == "0"
    assert d.out("run", "--rm", "--network", "six", "busybox", "ping", "-6", "-c", "1", "-w", "5", "fd00:77::9")
    assert "fd00:77::9\t" in d.out("exec", "ca", "cat", "/etc/hosts")
    # beside it a network without IPv6 brings none, and one with it brings only its own
    d.docker("network", "create", "four")
    d.docker("network", "connect", "four", "ca")
    assert "eth1" not in d.out("exec", "ca", "cat", "/proc/net/if_inet6")
    run(d, "cb", "--network", "four")
    assert d.out("exec", "cb", "cat", "/proc/net/if_inet6") == ""
    d.docker("network", "connect", "six", "cb")
    assert "eth1" in d.out("exec", "cb", "cat", "/proc/net/if_inet6") and "eth0" not in d.out("exec", "cb", "cat", "/proc/net/if_inet6")
    # without a subnet of one's own: a unique local one
    d.docker("network", "create", "--ipv6", "--ipv4=false", "ula")
    config = inspect(d, "ula")["IPAM"]["Config"]
    assert len(config) == 1 and config[0]["Subnet"].startswith("fd") and config[0]["Subnet"].endswith("/64")
    out = d.out("run", "--rm", "--network", "ula", "busybox", "ip", "-o", "addr", "show", "eth0")
    assert "inet6 fd" in out and "inet " not in out
    refused(d, "invalid subnet fd00:88::1/64: it should be fd00:88::/64",
            "network", "create", "--ipv6", "--subnet", "fd00:88::1/64", "x")


def test_subnet_range_gateway_and_auxiliary_addresses(d):
    d.docker("network", "create", "--subnet", "10.77.0.0/16", "--ip-range", "10.77.5.0/30", "--gateway", "10.77.9.9",
             "--aux-address", "router=10.77.5.1", "one")
    config = inspect(d, "one")["IPAM"]["Config"][0]
    assert config == {"Subnet": "10.77.0.0/16", "IPRange": "10.77.5.0/30", "Gateway": "10.77.9.9",
                      "AuxiliaryAddresses": {"router": "10.77.5.1"}}
    for i, want in enumerate(("10.77.5.0", "10.77.5.2", "10.77.5.3")):
        run(d, "c%d" % i, "--network", "one")
        assert networks_of(d, "c%d" % i)["one"]["IPAddress"] == want
    refused(d, "no available IPv4 addresses on this network's address pools: one", "run", "--network", "one", "busybox", "true")
    refused(d, "Address already in use", "run", "--network", "one", "--ip", "10.77.5.1", "busybox", "true")
    assert "default via 10.77.9.9" in d.out("exec", "c0", "ip", "route")


def test_internal_network(d):
    d.docker("network", "create", "--internal", "--subnet", "10.77.0.0/24", "inner")
    serve(d, "ca", "--network", "inner")
    assert "default" not in d.out("exec", "ca", "ip", "route") and networks_of(d, "ca")["inner"]["Gateway"] == ""
    assert reaches(d, "10.77.0.2", "--network", "inner")


def test_an_internal_network_has_no_way_out_or_in(d):
    """Whatever routes are set behind it: not to another machine, not to another network, not from one."""
    d.docker("network", "create", "--internal", "--subnet", "10.77.0.0/24", "inner")
    d.docker("network", "create", "--subnet", "10.78.0.0/24", "open")
    serve(d, "inside", "--network", "inner", "--cap-add", "NET_ADMIN")
    serve(d, "elsewhere", "--network", "open", "--cap-add", "NET_ADMIN")
    machine = d.netns + "m"
    subprocess.run(["ip", "netns", "add", machine], check=True)
    try:
        for words in (["link", "add", "out0", "type", "veth", "peer", "name", "m0", "netns", machine], ["addr", "add", "10.99.0.1/24", "dev", "out0"],
                      ["link", "set", "out0", "up"]):
            d.in_netns("ip", *words)
        for words in (["addr", "add", "10.99.0.2/24", "dev", "m0"], ["link", "set", "m0", "up"], ["link", "set", "lo", "up"],
                      ["route", "add", "default", "via", "10.99.0.1"]):
            subprocess.run(["ip", "-n", machine, *words], check=True)
        d.docker("exec", "inside", "ip", "route", "add", "default", "via", "10.77.0.1", check=False)
        ping = ["ping", "-c", "1", "-W", "1"]
        assert d.docker("exec", "elsewhere", *ping, "10.99.0.2", check=False).returncode == 0  # the machine is there
        assert d.docker("exec", "inside", *ping, "10.99.0.2", check=False).returncode
        assert d.docker("exec", "inside", *ping, "10.78.0.2", check=False).returncode
        assert d.docker("exec", "elsewhere", *ping, "10.77.0.2", check=False).returncode
        assert subprocess.run(["ip", "netns", "exec", machine, "busybox", *ping, "10.77.0.2"], stdout=subprocess.DEVNULL).returncode
        assert reaches(d, "10.77.0.2", "--network", "inner")
    finally:
        subprocess.run(["ip", "netns", "del", machine], check=True)


def test_config_only(d):
    d.docker("network", "create", "--config-only", "--subnet", "10.77.0.0/24", "--label", "a=b", "template")
    d.docker("network", "create", "--config-from", "template", "real")
    n = inspect(d, "real")
    assert n["ConfigFrom"] == {"Network": "template"} and n["IPAM"]["Config"][0]["Subnet"] == "10.77.0.0/24" and n["Labels"] == {"a": "b"}
    assert inspect(d, "template")["ConfigOnly"] and inspect(d, "template")["Driver"] == "null"
    refused(d, "configuration network \"template\" is in use", "network", "rm", "template")
    refused(d, "configuration network \"nope\" does not exist", "network", "create", "--config-from", "nope", "x")
    refused(d, "user specified configurations are not supported if the network depends on a configuration network",
            "network", "create", "--config-from", "template", "--subnet", "10.90.0.0/24", "x")
    d.docker("network", "rm", "real")


def test_links_of_old(d):
    run(d, "srv", "-e", "FOO=bar", "--expose", "80", "--expose", "81/udp")
    out = d.out("run", "--rm", "--name", "lk", "--link", "srv:my-db", "--link", "srv", "busybox", "sh", "-c", "env; cat /etc/hosts")
    ip = networks_of(d, "srv")["bridge"]["IPAddress"]
    short = container(d, "srv")["Id"][:12]
    for line in ("MY_DB_PORT=tcp://%s:80" % ip, "MY_DB_PORT_80_TCP_ADDR=" + ip, "MY_DB_PORT_81_UDP=udp://%s:81" % ip, "MY_DB_NAME=/lk/my-db",
                 "MY_DB_ENV_FOO=bar", "SRV_NAME=/lk/srv", "%s\tmy-db %s srv" % (ip, short), "%s\tsrv %s" % (ip, short)):
        assert line in out.splitlines(), out
    run(d, "lk2", "--link", "srv:db")
    assert container(d, "lk2")["HostConfig"]["Links"] == ["/srv:/lk2/db"]
    refused(d, "could not get container for nope: No such container: nope", "create", "--link", "nope:x", "busybox")
    d.docker("stop", "-t", "0", "srv")
    refused(d, "Cannot link to a non running container: /srv AS /lk2/db", "restart", "-t", "0", "lk2")
    d.docker("rm", "srv")
    assert container(d, "lk2")["HostConfig"]["Links"] is None
    d.docker("start", "lk2")


def test_mac_addresses(d):
    d.docker("network", "create", "one")
    mac = "02:aa:bb:cc:dd:ee"
    run(d, "ca", "--network", "one", "--mac-address", mac)
    assert networks_of(d, "ca")["one"]["MacAddress"] == mac and d.out("exec", "ca", "cat", "/sys/class/net/eth0/address") == mac
    status, answer = d.json("POST", "/v1.43/containers/create?name=cb", {"Image": "busybox", "MacAddress": mac, "Cmd": ["cat", "/sys/class/net/eth0/address"]})
    assert status == 201 and answer["Warnings"] == []
    assert d.out("start", "-a", "cb") == mac
    status, answer = d.json("POST", "/v1.44/containers/create", {"Image": "busybox", "MacAddress": mac})
    assert status == 201 and "deprecated" in answer["Warnings"][0]
    status, answer = d.json("POST", "/containers/create", {
        "Image": "busybox", "MacAddress": mac, "HostConfig": {"NetworkMode": "one"},
        "NetworkingConfig": {"EndpointsConfig": {"one": {"MacAddress": "02:00:00:00:00:01"}}}})
    assert status == 400 and answer["message"].startswith("the container-wide MAC address must match")
    assert d.json("POST", "/containers/create", {"Image": "busybox", "MacAddress": "zz"})[0] == 400
    status, answer = d.json("POST", "/containers/create", {"Image": "busybox", "MacAddress": mac, "HostConfig": {"NetworkMode": "host"}})
    assert (status, answer["message"]) == (400, "conflicting options: mac-address and the network mode")


def test_info_names_the_drivers(d):
    assert d.json("GET", "/info")[1]["Plugins"]["Network"] == ["bridge", "host", "ipvlan", "macvlan", "null"]


def test_network_disabled(d):
    status, _ = d.json("POST", "/containers/create?name=nd", {"Image": "busybox", "NetworkDisabled": True, "Cmd": ["ls", "/sys/class/net"]})
    assert status == 201
    assert d.out("start", "-a", "nd") == "lo"
    assert container(d, "nd")["NetworkSettings"]["Networks"] == {}


def test_docker_py(d):
    client = sdk.DockerClient(base_url="unix://" + d.socket, timeout=60)
    try:
        pool = sdk.types.IPAMPool(subnet="10.77.0.0/24", gateway="10.77.0.254", aux_addresses={"x": "10.77.0.2"})
        n = client.networks.create("one", driver="bridge", ipam=sdk.types.IPAMConfig(pool_configs=[pool]), labels={"k": "v"},
                                   options={"com.docker.network.bridge.name": "mybr0"}, check_duplicate=True)
        assert [m.name for m in client.networks.list(filters={"label": "k=v"})] == ["one"]
        c = client.containers.run("busybox", "sleep 600", detach=True, name="ca", network="one")
        n.reload()
        assert [m.name for m in n.containers] == ["ca"] and n.attrs["Containers"][c.id]["IPv4Address"] == "10.77.0.1/24"
        n.disconnect(c)
        n.connect(c, ipv4_address="10.77.0.7", aliases=["db"])
        c.reload()
        assert c.attrs["NetworkSettings"]["Networks"]["one"]["IPAddress"] == "10.77.0.7"
        with pytest.raises(sdk.errors.APIError) as e:
            n.remove()
        assert e.value.response.status_code == 403
        c.remove(force=True)
        assert client.networks.prune()["NetworksDeleted"] == ["one"]
        with pytest.raises(sdk.errors.NotFound):
            client.networks.get("one")
    finally:
        client.close()


def test_events(d):
    d.docker("network", "create", "one")
    run(d, "ca", "--network", "one")
    d.docker("network", "disconnect", "one", "ca")
    d.docker("rm", "-f", "ca")
    d.docker("network", "prune", "-f")

    def told():  # a whole second must have passed: the client rounds "now" down
        lines = d.out("events", "--since", "5m", "--until", "0s", "--filter", "type=network", "--format",
                      "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}").splitlines()
        return [line.split(" <")[0] for line in lines[-5:]]
    want = ["create one bridge", "connect one bridge", "disconnect one bridge", "destroy one bridge", "prune"]
    assert until(lambda: told() == want), told()


def test_the_daemons_options(fresh):
    fresh.start("--ipv6", "--bip", "10.55.0.1/24", "--bip6", "fd00:55::1/64", "--default-address-pool", "base=10.66.0.0/16,size=24",
                "--default-network-opt", "bridge=com.docker.network.driver.mtu=1300", "--host-gateway-ip", "10.99.0.1",
                "--host-gateway-ip", "fd00:99::1")
    fresh.load_busybox()
    n = inspect(fresh, "bridge")
    assert n["EnableIPv6"] and [c["Subnet"] for c in n["IPAM"]["Config"]] == ["10.55.0.0/24", "fd00:55::/64"]
    out = fresh.out("run", "--rm", "--add-host", "gw:host-gateway", "busybox", "sh", "-c", "ip -o addr show eth0; cat /etc/hosts; ip -6 route")
    assert "10.55.0.2/24" in out and "fd00:55::2/64" in out and "10.99.0.1\tgw" in out and "fd00:99::1\tgw" in out
    assert "default via fd00:55::1" in out
    fresh.docker("network", "create", "one")
    n = inspect(fresh, "one")
    assert n["IPAM"]["Config"] == [{"Subnet": "10.66.0.0/24", "Gateway": "10.66.0.1"}]
    assert n["Options"] == {"com.docker.network.driver.mtu": "1300"}
    assert fresh.out("run", "--rm", "--network", "one", "busybox", "cat", "/sys/class/net/eth0/mtu") == "1300"
    fresh.docker("network", "create", "two")
    assert inspect(fresh, "two")["IPAM"]["Config"][0]["Subnet"] == "10.66.1.0/24"
    fresh.docker("network", "rm", "one", "two")


def test_a_daemon_without_a_default_bridge(fresh):
    fresh.start("-b", "none")
    fresh.load_busybox()
    assert set(fresh.out("network", "ls", "--format", "{{.Name}}").split()) == {"host", "none"}
    fresh.docker("network", "create", "one")
    assert fresh.out("run", "--rm", "--network", "one", "busybox", "echo", "hi") == "hi"
    refused(fresh, "network bridge not found", "run", "--rm", "busybox", "true")
    fresh.docker("network", "rm", "one")


def test_driver_options_of_an_endpoint(d):
    d.docker("network", "create", "--subnet", "10.77.0.0/24", "-o", "com.docker.network.container_iface_prefix=net", "one")
    d.docker("network", "create", "--subnet", "10.78.0.0/24", "two")
    out = d.out("run", "--rm", "--network", "one", "--network",
                "name=two,driver-opt=com.docker.network.endpoint.ifname=wan,link-local-ip=169.254.7.7,"
                "\"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.forwarding=0\"",
                "busybox", "sh", "-c", "ip -o -4 addr; cat /proc/sys/net/ipv4/conf/wan/log_martians /proc/sys/net/ipv4/conf/wan/forwarding")
    assert "net0    inet 10.77.0.2/24" in out and "wan    inet 10.78.0.2/24" in out and "wan    inet 169.254.7.7/16" in out
    assert out.splitlines()[-2:] == ["1", "0"]
    for bad in ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.forwarding=1", "net.ipv4.conf.IFNAME/../all.x=1", "kernel.conf.x.IFNAME.y=1"):
        status, answer = d.json("POST", "/containers/create", {
            "Image": "busybox", "HostConfig": {"NetworkMode": "one"},
            "NetworkingConfig": {"EndpointsConfig": {"one": {"DriverOpts": {"com.docker.network.endpoint.sysctls": bad}}}}})
        assert status == 400 and "invalid sysctl" in answer["message"], answer
    refused(d, "option com.docker.network.bridge.gateway_mode_ipv4=routed is not supported",
            "network", "create", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "x")
    refused(d, "failed to parse com.docker.network.bridge.enable_icc value: maybe", "network", "create", "-o",
            "com.docker.network.bridge.enable_icc=maybe", "x")
    made = d.out("network", "create", "-o", "com.docker.network.bridge.inhibit_ipv4=true", "bare")
    assert "inet " not in d.in_netns("ip", "-o", "addr", "show", "br-" + made[:12], capture_output=True, text=True).stdout
    six = d.out("network", "create", "-o", "com.docker.network.enable_ipv6=true", "six")
    assert inspect(d, six)["EnableIPv6"]


def test_no_route_is_taken_from_a_neighbour(d):
    """A router advertisement on the bridge changes nobody's routes: not the host's, not a peer's."""
    d.docker("network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six")
    d.docker("network", "create", "four")
    run(d, "victim", "--network", "six")
    run(d, "plain", "--network", "four")
    ra = ("import socket,struct\n"
          "s=socket.socket(socket.AF_INET6,socket.SOCK_RAW,58)\n"
          "s.setsockopt(41,18,255)\n"
          "p=struct.pack('!BBHBBHII',134,0,0,64,0,1800,0,0)+struct.pack('!BBBBIII16s',3,4,64,192,3600,3600,0,socket.inet_pton(socket.AF_INET6,'fd66::'))\n"
          "s.sendto(p,('ff02::1',0,0,socket.if_nametoindex('eth0')))\n")
    for name in ("victim", "plain"):
        pid = container(d, name)["State"]["Pid"]
        # the attacker is on the same bridge: another container, spoken for by the host's python in its namespace
        run(d, "evil-" + name, "--network", "six" if name == "victim" else "four")
        evil = container(d, "evil-" + name)["State"]["Pid"]
        subprocess.run(["nsenter", "-t", str(evil), "-n", "/usr/bin/python3", "-c", ra], check=name == "victim", capture_output=True)
        time.sleep(0.3)
        seen = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-6", "route"], capture_output=True, text=True).stdout
        assert "fd66" not in seen and "proto ra" not in seen, seen
    host = d.in_netns("ip", "-6", "route", capture_output=True, text=True).stdout
    assert "fd66" not in host and "proto ra" not in host, host


def test_a_bridge_that_was_taken_away_comes_back(d):
    made = d.out("network", "create", "--subnet", "10.77.0.0/24", "one")
    d.in_netns("ip", "link", "del", "br-" + made[:12])
    serve(d, "ca", "--network", "one")
    assert reaches(d, "10.77.0.2", "--network", "one")
    d.docker("rm", "-f", "ca")
    d.in_netns("ip", "link", "del", "br-" + made[:12])
    d.docker("network", "rm", "one")


def test_a_bridge_of_someone_elses(d):
    """It may be used as it is; it is never changed, and never removed."""
    d.in_netns("ip", "link", "add", "theirs0", "type", "bridge")
    d.in_netns("ip", "addr", "add", "10.70.0.1/24", "dev", "theirs0")
    d.in_netns("ip", "link", "add", "wire1", "type", "veth", "peer", "name", "far1")
    try:
        named = ("-o", "com.docker.network.bridge.name=theirs0")
        refused(d, "existing bridge theirs0 has another address", "network", "create", "--subnet", "10.77.0.0/24", *named, "x")
        refused(d, "existing interface wire1 is not a bridge", "network", "create", "-o", "com.docker.network.bridge.name=wire1", "x")
        refused(d, "networks have same bridge name", "network", "create", "-o", "com.docker.network.bridge.name=docker0", "x")
        assert "inet" not in d.in_netns("ip", "-o", "addr", "show", "wire1", capture_output=True, text=True).stdout
        d.in_netns("ip", "addr", "flush", "dev", "theirs0")
        d.docker("network", "create", "--subnet", "10.77.0.0/24", *named, "one")
        serve(d, "ca", "--network", "one")
        assert reaches(d, "10.77.0.2", "--network", "one")
        d.docker("rm", "-f", "ca")
        d.docker("network", "rm", "one")
        assert "theirs0" in d.in_netns("ip", "-o", "link", capture_output=True, text=True).stdout
    finally:
        d.in_netns("ip", "link", "del", "theirs0")
        d.in_netns("ip", "link", "del", "wire1")


def test_many_cycles_leave_nothing(d):
    def seen():
        return (sorted(d.in_netns("ip", "-o", "link", capture_output=True, text=True).stdout.count(kind) for kind in ("br-", "veth")),
                d.in_netns("ip", "route", capture_output=True, text=True).stdout.replace(" linkdown", "").split(), os.listdir(os.path.join(d.run, "endpoints")),
                os.listdir(os.path.join(d.run, "netns")), len(os.listdir("/proc/%d/fd" % d.process.pid)))
    d.docker("run", "--rm", "busybox", "true")
    assert until(lambda: not d.links())
    before = seen()
    for _ in range(8):
        d.docker("network", "create", "one")
        run(d, "ca", "--network", "one")
        d.docker("run", "--rm", "--network", "one", "busybox", "true")
        d.docker("network", "disconnect", "one", "ca")
        d.docker("network", "connect", "one", "ca")
        d.docker("rm", "-f", "ca")
        d.docker("network", "rm", "one")
    assert until(lambda: seen() == before), (seen(), before)


def test_everything_at_once(d):
    """Six clients who know nothing of each other: no answer but those that a client can do something with, and nothing is left."""
    bad = []
    d.docker("network", "create", "n0")
    run(d, "c0", "--network", "n0")

    def step(r):
        n, c = "n%d" % r.randrange(2), "c%d" % r.randrange(3)
        return r.choice([
            ("POST", "/networks/create", {"Name": n, "EnableIPv6": r.random() < 0.3}), ("DELETE", "/networks/" + n, None),
            ("POST", "/networks/%s/connect" % n, {"Container": c}), ("POST", "/networks/%s/disconnect" % n, {"Container": c, "Force": True}),
            ("POST", "/containers/create?name=" + c, {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": n}}),
            ("POST", "/containers/%s/start" % c, None), ("POST", "/containers/%s/kill" % c, None),
            ("DELETE", "/containers/%s?force=1" % c, None), ("POST", "/networks/prune", None), ("GET", "/networks/" + n, None),
            ("GET", "/containers/json?all=1", None)])

    def client(seed):
        r = random.Random(seed)
        for _ in range(50):
            asked = step(r)
            try:
                status, text, _ = d.api(*asked)
                if asked[1].startswith("/containers/create") and status == 201:
                    d.api("POST", "/containers/%s/start" % json.loads(text)["Id"])
                if status >= 500 and b"is not connected to" not in text:
                    bad.append((asked, status, text))
            except OSError as e:
                bad.append((asked, repr(e)))
    clients = [threading.Thread(target=client, args=(i,)) for i in range(6)]
    for t in clients:
        t.start()
    for t in clients:
        t.join()
    assert not bad
    ids = d.out("ps", "-aq").split()
    if ids:
        d.docker("rm", "-f", *ids)
    for name in d.out("network", "ls", "-q", "--filter", "type=custom").split():
        d.docker("network", "rm", name)
    assert until(lambda: not d.links() and "br-" not in d.in_netns("ip", "-o", "link", capture_output=True, text=True).stdout)
    assert os.listdir(os.path.join(d.run, "endpoints")) == [] and os.listdir(os.path.join(d.run, "netns")) == []


def test_pools_can_run_out(fresh):
    fresh.start("--default-address-pool", "base=10.66.0.0/23,size=24", "--bip", "10.55.0.1/24")
    for name in ("one", "two"):
        fresh.docker("network", "create", name)
    status, answer = fresh.json("POST", "/networks/create", {"Name": "three"})
    assert (status, answer["message"]) == (400, "all predefined address pools have been fully subnetted")
    assert fresh.json("GET", "/networks/")[0] == 200
    fresh.docker("network", "rm", "one", "two")
    # what the host routes is left alone
    fresh.in_netns("ip", "link", "add", "lan0", "type", "bridge")
    fresh.in_netns("ip", "link", "set", "lan0", "up")
    fresh.in_netns("ip", "addr", "add", "10.66.0.5/25", "dev", "lan0")
    fresh.docker("network", "create", "one")
    assert inspect(fresh, "one")["IPAM"]["Config"][0]["Subnet"] == "10.66.1.0/24"
    fresh.docker("network", "rm", "one")
