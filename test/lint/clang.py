"""The tree is free of warnings for clang too: what gcc's build does not see (an unused variable with a cleanup, a wrong doc)."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys

ROOT, BUILD = sys.argv[1], sys.argv[2]
if not shutil.which("clang"):
    print("clang is not installed: ./dev deps")
    sys.exit(1)


def check(entry):
    words = [word for word in entry["command"].split() if word.startswith(("-I", "-D", "-W", "-f", "-std", "-pthread"))
             and not word.startswith(("-fsanitize", "-fno-sanitize"))]
    systems = [word for pair in zip(entry["command"].split(), entry["command"].split()[1:]) if pair[0] == "-isystem" for word in pair]
    words = [word.replace('\\"', '"') for word in words]
    done = subprocess.run(["clang", "-fsyntax-only", "-Werror", *words, *systems, entry["file"]], cwd=entry["directory"],
                          capture_output=True, text=True)
    return done.stderr if done.returncode else ""


seen = {}
for entry in json.load(open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8")):
    if entry["file"].startswith(ROOT + os.sep):
        seen.setdefault(entry["file"], entry)
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    said = [text for text in pool.map(check, seen.values()) if text]
print("\n".join(said) or f"clang is content with {len(seen)} files")
sys.exit(1 if said or not seen else 0)
