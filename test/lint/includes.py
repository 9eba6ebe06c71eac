"""The law of includes: who may include whom.  A room that needs a higher one is one room too few."""
import os
import re
import sys

ROOT = sys.argv[1]
# header under include/berth/ -> the room that offers it
OFFERS = {
    "base": "arena buf err filters json log mem str timefmt".split(),
    "loop": "child fetch flow job loop signals sock timer watch".split(),
    "http": "http request route".split(),
    "api": [],
    "backend/store": ["store", "tree"],
    "backend/runtime": ["cgroup", "monitor", "monitor_wire", "runtime", "spec"],
    "backend/events": ["events"],
    "backend/logs": ["logs"],
    "backend/image": ["archiver", "image", "reference", "rootfs", "untar"],
    "backend/network": ["dns", "netfiles", "netns", "network", "ports"],
    "backend/volume": ["volume"],
    "backend/container": ["container", "archive", "container_mounts", "stats"],
    "backend/exec": ["exec"],
    "backend/system": ["system"],
}
LOW = ["backend/store", "backend/runtime", "backend/events", "backend/logs"]
MIDDLE = ["backend/image", "backend/network", "backend/volume"]
MAY = {
    "base": ["base"],
    "loop": ["base", "loop"],
    "http": ["base", "loop", "http"],
    "api": ["base", "api"],
    "monitor": ["base", "monitor"],
}
for room in LOW:
    MAY[room] = ["base", "loop", "api"] + LOW
for room in MIDDLE:
    MAY[room] = ["base", "loop", "api", room] + LOW + MIDDLE
MAY["backend/container"] = ["base", "loop", "api", "backend/container"] + LOW + MIDDLE
for room in ("backend/exec", "backend/system"):
    MAY[room] = MAY["backend/container"] + [room]
MAY["routes"] = ["base", "loop", "http", "api", "routes", "backend/exec", "backend/system"] + MAY["backend/container"]
EVERYTHING = ("daemon", "")
LIBRARIES = {"uv.h": ["loop"], "curl/": ["loop"], "libpsl.h": ["loop"], "cjson/cJSON.h": ["base", "daemon", "backend/runtime"], "llhttp.h": ["http"], "mbedtls/": ["http"],
             "sqlite3.h": ["backend/store"], "archive": ["backend/image"], "nettle/": ["backend/image"],
             "netlink/": ["backend/network"], "nftables/": ["backend/network"], "zlib.h": ["monitor", "backend/logs"]}
# What the monitor and the daemon say to each other is a header of its own, of data alone.
SHARED = {"monitor_wire": ["monitor", "backend/runtime"], "spec": ["backend/container", "backend/exec"]}

room_of = {name: room for room, names in OFFERS.items() for name in names}
wrong = []
for folder, _, files in os.walk(os.path.join(ROOT, "src")):
    room = os.path.relpath(folder, os.path.join(ROOT, "src"))
    room = "" if room == "." else room
    for name in files:
        if not name.endswith((".c", ".h")):
            continue
        path = os.path.join(folder, name)
        for number, line in enumerate(open(path), 1):
            found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if not found:
                continue
            header = found.group(1)
            where = "%s:%d: %s" % (os.path.relpath(path, ROOT), number, header)
            for library, rooms in LIBRARIES.items():
                if header.startswith(library) and room not in rooms:
                    wrong.append("%s belongs to %s alone" % (where, " and ".join(rooms)))
            if not header.startswith("berth/") or room in EVERYTHING:
                continue
            if header.startswith("berth/api/"):
                offers = "api"
            else:
                offers = room_of.get(header[len("berth/"):-2])
            if offers is None:
                wrong.append("%s is offered by no room: name it in test/lint/includes.py" % where)
            elif room in SHARED.get(header[len("berth/"):-2], ()):
                continue
            elif offers not in MAY[room]:
                wrong.append("%s: %s may not include %s" % (where, room, offers))
print("\n".join(wrong) or "the law of includes holds")
sys.exit(1 if wrong else 0)
