"""Every flow of the program is tortured: its name stands in test/unit/loop/all_flows.h."""
import os
import re
import sys

ROOT = sys.argv[1]
listed = set(re.findall(r"FLOW\((\w+)\)", open(os.path.join(ROOT, "test/unit/loop/all_flows.h")).read()))
wrong = []
for folder, _, files in os.walk(os.path.join(ROOT, "src")):
    for name in files:
        if not name.endswith(".c"):
            continue
        text = open(os.path.join(folder, name)).read()
        for static, flow in re.findall(r"^(static )?const flow_def (\w+) *=", text, re.M):
            if static or flow not in listed:
                wrong.append("%s: %s is not tortured" % (name, flow))
print("\n".join(wrong) or "%d flows" % len(listed - {"FLOW"}))
sys.exit(1 if wrong else 0)
