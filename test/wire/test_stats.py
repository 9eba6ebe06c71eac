"""Stats: true figures, at once and by the second, for those that run and those that do not."""
import json
import time

import docker as docker_py
import pytest

from conftest import UnixConnection, until

ZERO = "0001-01-01T00:00:00Z"


def stats(d, name, query="stream=0", version="1.51"):
    status, text, _ = d.api("GET", "/v%s/containers/%s/stats?%s" % (version, name, query))
    assert status == 200, text
    return json.loads(text)


@pytest.fixture
def busy(berthd):
    """A container that burns what it may: half a CPU."""
    berthd.docker("run", "-d", "--name", "busy", "--cpus", "0.5", "-m", "100m", "--pids-limit", "50", "busybox", "sh", "-c", "while :; do :; done")
    yield berthd
    berthd.docker("rm", "-f", "busy")


def test_true_figures(busy):
    time.sleep(0.5)
    s = stats(busy, "busy")
    cpu = (s["cpu_stats"]["cpu_usage"]["total_usage"] - s["precpu_stats"]["cpu_usage"]["total_usage"]) / (
        s["cpu_stats"]["system_cpu_usage"] - s["precpu_stats"]["system_cpu_usage"]) * s["cpu_stats"]["online_cpus"]
    assert 0.25 < cpu < 0.75
    assert s["name"] == "/busy" and len(s["id"]) == 64
    assert s["memory_stats"]["limit"] == 100 << 20 and 0 < s["memory_stats"]["usage"] < 50 << 20
    assert s["memory_stats"]["stats"]
    assert s["pids_stats"] == {"current": 1, "limit": 50}
    assert set(s["networks"]) == {"eth0"} and set(s["networks"]["eth0"]) == {
        "rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"}
    assert s["cpu_stats"]["throttling_data"]["throttled_periods"] > 0
    assert s["read"] > s["preread"] > ZERO


def test_one_shot_is_at_once(busy):
    s = stats(busy, "busy", "stream=0&one-shot=1")
    assert s["preread"] == ZERO and s["precpu_stats"]["cpu_usage"]["total_usage"] == 0 and s["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    old = stats(busy, "busy", "stream=0&one-shot=1", version="1.40")
    assert old["preread"] > ZERO  # it was not known yet


def test_a_stream(busy):
    connection = UnixConnection(busy.socket)
    connection.request("GET", "/containers/busy/stats")
    answer = connection.getresponse()
    got = [json.loads(answer.readline()) for _ in range(3)]
    assert got[0]["preread"] == ZERO
    assert [s["preread"] for s in got[1:]] == [s["read"] for s in got[:-1]]
    assert got[0]["cpu_stats"]["cpu_usage"]["total_usage"] < got[2]["cpu_stats"]["cpu_usage"]["total_usage"]
    joined = stats(busy, "busy", "stream=0&one-shot=1")  # beside the stream
    assert joined["preread"] == ZERO and joined["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    busy.docker("kill", "busy")
    assert until(lambda: json.loads(answer.readline())["read"] == ZERO)
    busy.docker("rm", "busy")
    rest = answer.read()
    assert all(json.loads(line)["read"] == ZERO for line in rest.splitlines())
    connection.close()
    busy.docker("run", "-d", "--name", "busy", "busybox", "sleep", "1000")


def test_traffic_is_counted(berthd):
    berthd.docker("run", "-d", "--name", "net", "busybox", "sleep", "1000")
    address = berthd.out("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "net")
    before = stats(berthd, "net", "stream=0&one-shot=1")["networks"]["eth0"]
    berthd.in_netns("busybox", "ping", "-c", "3", "-s", "1000", address, capture_output=True, check=False)
    berthd.docker("exec", "net", "ping", "-c", "3", "-s", "1000", berthd.out("inspect", "-f", "{{.NetworkSettings.Gateway}}", "net"))
    after = stats(berthd, "net", "stream=0&one-shot=1")["networks"]["eth0"]
    assert after["tx_bytes"] - before["tx_bytes"] >= 3000 and after["rx_packets"] - before["rx_packets"] >= 3
    berthd.docker("rm", "-f", "net")


def test_what_does_not_run(berthd):
    berthd.docker("create", "--name", "cold", "busybox", "true")
    s = stats(berthd, "cold")
    assert s["read"] == s["preread"] == ZERO and s["pids_stats"] == {} and s["memory_stats"] == {} and "networks" not in s
    assert s["cpu_stats"]["cpu_usage"] == {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}
    berthd.docker("rm", "cold")
    status, text, _ = berthd.api("GET", "/containers/cold/stats?stream=0")
    assert status == 404 and json.loads(text)["message"] == "No such container: cold"


def test_networks_of_others(berthd):
    berthd.docker("run", "-d", "--name", "host", "--network", "host", "busybox", "sleep", "1000")
    berthd.docker("run", "-d", "--name", "none", "--network", "none", "busybox", "sleep", "1000")
    assert "networks" not in stats(berthd, "host", "stream=0&one-shot=1")
    assert "networks" not in stats(berthd, "none", "stream=0&one-shot=1")
    berthd.docker("rm", "-f", "host", "none")


def test_clients(busy):
    line = busy.out("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", "busy").split()
    assert line[0] == "busy" and 10 < float(line[1].rstrip("%")) < 90 and line[4] == "100MiB" and line[5] == "1"
    client = docker_py.DockerClient(base_url="unix://" + busy.socket)
    s = client.containers.get("busy").stats(stream=False)
    assert s["memory_stats"]["limit"] == 100 << 20 and s["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    client.close()


def test_many_clients_come_and_go(berthd):
    for i in range(5):
        berthd.docker("run", "-d", "--name", "s%d" % i, "--network", "none", "busybox", "sleep", "1000")
    open_ones = []
    for i in range(40):
        connection = UnixConnection(berthd.socket)
        connection.request("GET", "/containers/s%d/stats" % (i % 5))
        open_ones.append((connection, connection.getresponse()))
    for i, (_, answer) in enumerate(open_ones):
        assert json.loads(answer.readline())["name"] == "/s%d" % (i % 5)
    for connection, _ in open_ones[::2]:
        connection.close()
    for _, answer in open_ones[1::2]:
        assert json.loads(answer.readline())["read"] > ZERO
    for connection, _ in open_ones[1::2]:
        connection.close()
    berthd.docker("rm", "-f", *["s%d" % i for i in range(5)])
