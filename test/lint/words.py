"""The tree speaks of the project alone: no path of a machine, no promise for later, no private host."""
import os
import re
import subprocess
import sys

ROOT = sys.argv[1]
BANNED = re.compile(r"/work/|\.\./shared|\bTODO\b|\bFIXME\b|\bXXX\b|\bHACK\b|placeholder|not implemented yet")
wrong = []
files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
for name in filter(None, files):
    if name.startswith(("test/fuzz/corpus/", "test/lint/", "bench/results/")) or not os.path.isfile(os.path.join(ROOT, name)):
        continue
    try:
        text = open(os.path.join(ROOT, name), encoding="utf-8").read()
    except UnicodeDecodeError:
        continue
    for number, line in enumerate(text.split("\n"), 1):
        if BANNED.search(line):
            wrong.append("%s:%d: %s" % (name, number, line.strip()[:120]))
print("\n".join(wrong) or "nothing but the project")
sys.exit(1 if wrong else 0)
