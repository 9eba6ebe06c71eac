"""docker commit: what a container has written becomes an image."""
import json
import time

import docker as docker_py


def commit(d, query, body=None):
    return d.json("POST", "/commit?" + query, body)


def test_changes_of_every_kind(berthd):
    d = berthd
    d.docker("run", "--name", "work", "--network", "none", "busybox", "sh", "-c",
             "echo new > /new; rm /bin/wget; rm -r /home; mkdir /home; echo x > /home/only; ln -s /new /link; mkdir -p /a/b; chmod 1777 /a/b; ln /new /hard")
    image = d.out("commit", "-m", "a comment", "-a", "me", "-c", "ENV K=V", "-c", 'CMD ["cat", "/new"]', "work", "made:1")
    assert d.out("run", "--rm", "--network", "none", "made:1") == "new"
    out = d.out("run", "--rm", "--network", "none", "made:1", "sh", "-c",
                "echo $K; ls /home; ls /bin/wget 2>&1; readlink /link; stat -c %a /a/b; cat /hard; stat -c %h /new")
    assert out.splitlines() == ["V", "only", "ls: /bin/wget: No such file or directory", "/new", "1777", "new", "2"]
    shown = json.loads(d.out("inspect", image))[0]
    base = json.loads(d.out("inspect", "busybox"))[0]
    assert shown["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"] and shown["Comment"] == "a comment" and shown["Author"] == "me"
    history = d.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1").stdout.splitlines()
    assert history[0].startswith("sh -c echo new > /new") and history[0].endswith("|a comment") and len(history) == 2
    # on top of it, once more
    d.docker("run", "--name", "again", "--network", "none", "made:1", "sh", "-c", "rm -r /home; rm /new")
    second = d.out("commit", "again")
    assert d.out("run", "--rm", "--network", "none", second, "sh", "-c", "ls /home /new 2>&1; echo $K").splitlines()[-1] == "V"
    assert d.docker("run", "--rm", "--network", "none", second, "test", "-e", "/home", check=False).returncode == 1
    d.docker("rm", "work", "again")
    d.docker("rmi", second, "made:1")


def test_a_running_one_is_paused_meanwhile(berthd):
    d = berthd
    d.docker("run", "-d", "--name", "live", "--network", "none", "busybox", "sh", "-c", "echo 1 > /one; sleep 1000")
    since = time.time()
    status, made = commit(d, "container=live&repo=live&tag=now&comment=c")
    assert status == 201
    assert d.out("inspect", "-f", "{{.State.Status}}", "live") == "running"
    events = [json.loads(line) for line in d.out("events", "--since", "%.3f" % since, "--until", "%.3f" % (time.time() + 1), "--filter",
                                                "container=live", "--format", "{{json .}}").splitlines()]
    assert [e["Action"] for e in events] == ["pause", "unpause", "commit"]
    assert events[2]["Actor"]["Attributes"]["imageID"] == made["Id"] and events[2]["Actor"]["Attributes"]["comment"] == "c"
    assert commit(d, "container=live&pause=0")[0] == 201
    assert d.out("run", "--rm", "--network", "none", "live:now", "cat", "/one") == "1"
    d.docker("rm", "-f", "live")
    d.docker("image", "prune", "-f")
    d.docker("rmi", "live:now")


def test_what_the_client_says_wins(berthd):
    d = berthd
    d.docker("create", "--name", "cfg", "--env", "A=1", "busybox", "true")
    status, made = commit(d, "container=cfg", {"Env": ["A=2", "B=3"], "Cmd": ["echo", "mine"], "Labels": {"of": "client"}})
    assert status == 201
    config = json.loads(d.out("inspect", made["Id"]))[0]["Config"]
    assert sorted(config["Env"]) == ["A=2", "B=3"] and config["Cmd"] == ["echo", "mine"] and config["Labels"] == {"of": "client"}
    d.docker("rmi", made["Id"])
    assert commit(d, "container=none") == (404, {"message": "No such container: none"})
    assert commit(d, "container=cfg&repo=BAD")[0] == 400
    assert commit(d, "container=cfg&changes=NONSENSE%20x")[0] == 400
    client = docker_py.DockerClient(base_url="unix://" + d.socket)
    image = client.containers.get("cfg").commit("py", tag="1")
    assert image.tags == ["py:1"]
    client.images.remove("py:1")
    client.close()
    d.docker("rm", "cfg")
