"""docker image prune: what has no name, or is not needed; what is held stays."""
import io
import json
import tarfile
import time


def make(d, name, content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("f")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    query = "repo=%s&tag=latest&changes=LABEL%%20of=%s" % (name, name) if name else ""
    status, text, _ = d.api("POST", "/images/create?fromSrc=-&" + query, out.getvalue(), {"Content-Type": "application/x-tar"})
    assert status == 200
    return json.loads(text.decode().splitlines()[-1])["status"]


def prune(d, **filters):
    status, answer = d.json("POST", "/images/prune?filters=" + json.dumps(filters).replace('"', "%22").replace(" ", ""))
    assert status == 200, answer
    return answer


def test_prune(berthd):
    d = berthd
    nameless = make(d, None, b"n" * 10000)
    old = make(d, "again", b"1" * 5000)
    new = make(d, "again", b"2" * 5000)  # the first one lost its name
    held = make(d, "held", b"h" * 100)
    d.docker("create", "--name", "holder", "held", "x")
    since = time.time()
    answer = prune(d)
    assert sorted(i["Deleted"] for i in answer["ImagesDeleted"] if i.get("Deleted") in (nameless, old)) == sorted([nameless, old])
    assert answer["SpaceReclaimed"] == 15000
    assert prune(d) == {"ImagesDeleted": None, "SpaceReclaimed": 0}
    assert prune(d, dangling=["false"], label=["of=other"])["ImagesDeleted"] is None
    assert prune(d, dangling=["false"], **{"label!": ["of=again"], "until": ["1h"]})["ImagesDeleted"] is None
    answer = prune(d, dangling=["false"], label=["of=again"])
    assert {"Untagged": "again:latest"} in answer["ImagesDeleted"] and {"Deleted": new} in answer["ImagesDeleted"]
    assert d.out("image", "prune", "-af", "--filter", "label=of=held").endswith("Total reclaimed space: 0B")
    d.docker("rm", "holder")
    assert held in d.out("image", "prune", "-af", "--filter", "label=of=held")
    assert d.out("images", "-q", "--no-trunc", "busybox")  # not asked for
    events = d.out("events", "--since", "%.3f" % since, "--until", "%.3f" % (time.time() + 1), "--filter", "type=image", "--filter", "event=prune",
                   "--format", "{{.Actor.Attributes.reclaimed}}").split()
    assert events[0] == "15000"
    status, answer = d.json("POST", "/images/prune?filters={%22x%22:[%22y%22]}")
    assert status == 400
