"""Clients of Node: dockerode and testcontainers, as their users drive them."""
import os
import subprocess

import pytest

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node")
MODULES = os.environ.get("BERTH_NODE", os.path.expanduser("~/.cache/berth/node"))


@pytest.mark.parametrize("script", ["dockerode", "testcontainers"])
def test_client(berthd, script):
    # Ryuk, the cleaner of testcontainers, is an image of a registry: switched off by its own switch.
    env = dict(berthd.env, NODE_PATH=os.path.join(MODULES, "node_modules"), TESTCONTAINERS_RYUK_DISABLED="true",
               TESTCONTAINERS_HOST_OVERRIDE="127.0.0.1")
    done = subprocess.run(["nsenter", "--net=/run/netns/" + berthd.netns, "node", os.path.join(HERE, script + ".js")],
                          env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert berthd.out("ps", "-aq") == ""
    assert berthd.out("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none"]
