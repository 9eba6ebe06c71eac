"""docker-compose 1.29: two services, a health check that the other waits for, networks, aliases, scale, ports, volumes."""
import json
import os
import subprocess
import sys

import pytest

from conftest import until

CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dns_client.py")
FILE = """
version: "2.4"
services:
  db:
    image: busybox
    command: sh -c "sleep 1; echo ready > /tmp/ready; nc -ll -p 5432 -e echo pong"
    healthcheck: {test: ["CMD", "test", "-f", "/tmp/ready"], interval: 0.2s, retries: 50}
    volumes: ["data:/var/lib/data"]
    networks: {back: {aliases: [database]}}
  web:
    image: busybox
    command: nc -ll -p 80 -e echo hello
    depends_on: {db: {condition: service_healthy}}
    ports: ["80"]
    environment: {GREETING: hello}
    networks: [front, back]
    restart: on-failure
networks:
  front: {}
  back: {internal: true}
volumes:
  data: {}
"""


@pytest.fixture
def project(berthd, tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "docker-compose.yml").write_text(FILE)

    # From API 1.45 on images have no ContainerConfig, which 1.29 wants when it makes a container anew.
    env = dict(berthd.env, COMPOSE_API_VERSION="1.44")

    def compose(*words, check=True):
        done = subprocess.run(["docker-compose", "--no-ansi", *words], env=env, cwd=folder, capture_output=True, text=True, timeout=180)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield berthd, compose
    compose("down", "-v", "-t", "0", check=False)


def answers(d, name, question):
    pid = d.out("inspect", "-f", "{{.State.Pid}}", name)
    done = subprocess.run(["nsenter", "--net=/proc/%s/ns/net" % pid, sys.executable, CLIENT, "127.0.0.11", "53", "udp", question, "A"],
                          capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)[0]["answers"]


def test_the_life_of_a_project(project):
    d, compose = project
    compose("up", "-d", "-t", "0", "--scale", "web=3")
    names = sorted(d.out("ps", "--format", "{{.Names}}").split())
    assert names == ["shop_db_1", "shop_web_1", "shop_web_2", "shop_web_3"]
    assert d.out("inspect", "-f", "{{.State.Health.Status}}", "shop_db_1") == "healthy"
    back = d.out("inspect", "-f", "{{.NetworkSettings.Networks.shop_back.IPAddress}}", "shop_db_1")
    assert answers(d, "shop_web_1", "db") == answers(d, "shop_web_1", "database") == answers(d, "shop_web_2", "shop_db_1") == [back]
    assert len(answers(d, "shop_db_1", "web")) == 3
    assert d.out("exec", "shop_web_1", "nc", back, "5432") == "pong"
    for number in (1, 2, 3):
        address = compose("port", "--index=%d" % number, "web", "80").strip()
        port = address.rsplit(":", 1)[1]
        assert until(lambda: d.in_netns("busybox", "nc", "127.0.0.1", port, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False).stdout == "hello\n")
    assert compose("exec", "-T", "web", "sh", "-c", "echo $GREETING").strip() == "hello"
    assert compose("run", "--rm", "-T", "web", "echo", "from run").strip().endswith("from run")
    assert "shop_db_1" in compose("ps") and "nc -ll" in compose("top")
    compose("restart", "-t", "0", "web")
    compose("pause", "db")
    compose("unpause", "db")
    compose("stop", "-t", "0")
    assert d.out("ps", "-q") == ""
    compose("start")
    assert until(lambda: len(d.out("ps", "-q").split()) == 4)
    compose("up", "-d", "-t", "0", "--force-recreate", "--scale", "web=1")
    assert sorted(d.out("ps", "-a", "--format", "{{.Names}}").split()) == ["shop_db_1", "shop_web_1"]
    compose("down", "-v", "-t", "0")
    assert d.out("ps", "-aq") == d.out("volume", "ls", "-q") == ""
    assert d.out("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none"]


def test_logs_are_those_of_all(project):
    d, compose = project
    compose("run", "--name", "talker", "-T", "web", "sh", "-c", "echo out; echo err >&2")
    assert d.docker("logs", "talker").stdout == "out\n"
    d.docker("rm", "talker")
    compose("up", "-d", "-t", "0")
    assert "Attaching to" in compose("logs", "--tail", "3")
