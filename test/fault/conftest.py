"""The fault tests use the harness of the wire tests."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import importlib.util

spec = importlib.util.spec_from_file_location("wire_conftest", os.path.join(sys.path[0], "conftest.py"))
wire = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wire)
fresh = wire.fresh
Daemon = wire.Daemon
until = wire.until
