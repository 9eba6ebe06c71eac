"""Calls that have no place here: unbounded ones anywhere, blocking ones on the loop."""
import os
import re
import sys

ROOT = sys.argv[1]
NEVER = r"\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|system|popen|sleep|usleep|alloca|getaddrinfo)\s*\("
BLOCKING = r"\b(fsync|fdatasync|syncfs|sync|waitpid|connect|getaddrinfo|mount|umount2|flock|recvmsg|select|poll)\s*\("
# Files whose head says that all of it runs on a worker or before the loop.
# Functions that may, and why.
ALLOWED = {
    "open_socket": "connecting to a unix socket does not wait",
    "wire_link_receive": "MSG_DONTWAIT",
    "dial": "SOCK_NONBLOCK",
    "await_probe": "at start, or in a job", "end_probe": "its output has ended, so it has",
    "sync_directory": "called by volume_make, on a worker", "path_unmount": "called by jobs and at start",
    "address_resolve": "called by volume_options_mount, on a worker: the server of a network file system",
    "staged_publish": "called by jobs alone",
    "listener_tcp": "at start: names of addresses to listen on",
    "resolve": "of the load generator, before its loop", "endpoint_resolve": "of the load generator, before its loop",
}
OFF_LOOP = re.compile(r"Worker threads|blocks|Blocks|runs in\s+the helper|Runs in\s+the helper|at start|helper process")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"", re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def begins(line):
    """The name of the function whose definition begins on this line, if one does."""
    begun = re.match(r"[a-z].*?\b(\w+)\(.*[^;]$", line)
    return begun.group(1) if begun and not line.startswith((" ", "}")) else None


wrong = []
for base in ("src", "bench"):
    for folder, _, files in os.walk(os.path.join(ROOT, base)):
        for name in sorted(files):
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.join(folder, name)
            text = open(path).read()
            code = COMMENT.sub(blank, text)
            shown = os.path.relpath(path, ROOT)
            function = ""
            for number, line in enumerate(code.split("\n"), 1):
                function = begins(line) or function
                if re.search(NEVER, line) and not re.search(r"timer_|\.sleep|->sleep", line) and function not in ALLOWED:
                    wrong.append("%s:%d: %s" % (shown, number, line.strip()))
            if not shown.startswith(("src/backend", "src/routes")) or OFF_LOOP.search(text[: text.find("*/")]):
                continue
            function = ""
            for number, line in enumerate(code.split("\n"), 1):
                function = begins(line) or function
                if re.search(BLOCKING, line) and not function.startswith("job_") and function not in ALLOWED:
                    wrong.append("%s:%d: %s may block the loop: %s" % (shown, number, function, line.strip()))
print("\n".join(wrong) or "no banned call")
sys.exit(1 if wrong else 0)
