"""Every space is clang-format's."""
import shutil
import subprocess
import sys

ROOT = sys.argv[1]
if not shutil.which("clang-format"):
    print("clang-format is not installed: ./dev deps")
    sys.exit(1)
files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, capture_output=True, text=True).stdout.split()
done = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=ROOT, capture_output=True, text=True)
bad = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
print("\n".join("not formatted: " + name for name in bad) or "formatted")
sys.exit(1 if bad else 0)
