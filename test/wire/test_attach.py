"""Attach with the log before it: the log and the output join without gap or repetition."""
import socket
import struct
import threading
import time

import pytest

LINES = 40000


def create(d, *cmd, **more):
    body = dict({"Image": "busybox", "Cmd": list(cmd), "HostConfig": {"NetworkMode": "none"}}, **more)
    status, made = d.json("POST", "/containers/create", body)
    assert status == 201, made
    return made["Id"]


def attach(d, cid, query="logs=1&stream=1&stdout=1&stderr=1"):
    """The bytes of both streams by a raw attach, until its end."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(d.socket)
    s.sendall(("POST /containers/%s/attach?%s HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n" % (cid, query)).encode())
    got = b""
    while True:
        piece = s.recv(1 << 20)
        if not piece:
            break
        got += piece
    s.close()
    head, body = got.split(b"\r\n\r\n", 1)
    assert b" 200 " in head.split(b"\r\n")[0], head
    out = b""
    while body:
        kind, n = struct.unpack(">BxxxL", body[:8])
        assert kind in (1, 2) and len(body) >= 8 + n
        out += body[8:8 + n]
        body = body[8 + n:]
    return out


def whole(n):
    return b"".join(b"%d\n" % i for i in range(n))


@pytest.mark.parametrize("config", [{}, {"max-size": "200k", "max-file": "100"}], ids=["one file", "rotated"])
def test_log_and_output_join(berthd, config):
    """Clients that come while a container counts as fast as it can: each sees every number once, in order."""
    cid = create(berthd, "sh", "-c", "i=0; while [ $i -lt %d ]; do echo $i; i=$((i+1)); done; sleep 3" % LINES,
                 HostConfig={"NetworkMode": "none", "LogConfig": {"Type": "json-file", "Config": config}})
    got, threads = {}, []

    def client(number):
        got[number] = attach(berthd, cid)

    assert berthd.api("POST", "/containers/%s/start" % cid)[0] == 204
    for number in range(8):
        threads.append(threading.Thread(target=client, args=(number,)))
        threads[-1].start()
        time.sleep(0.04)
    for thread in threads:
        thread.join()
    wanted = whole(LINES)
    assert len(got) == len(threads)
    for number, text in sorted(got.items()):
        lines = text.split(b"\n")
        wrong = [i for i, line in enumerate(lines[:-1]) if line != b"%d" % i]
        assert text == wanted, "client %d: %d lines, wrong from %s" % (number, len(lines) - 1, wrong[:1])


def test_log_of_an_earlier_run_and_the_next_one(berthd):
    """Attached before the start: what is in the log, then what comes."""
    cid = create(berthd, "sh", "-c", "echo one; echo two >&2")
    berthd.api("POST", "/containers/%s/start" % cid)
    assert berthd.json("POST", "/containers/%s/wait" % cid)[1]["StatusCode"] == 0
    got = []
    thread = threading.Thread(target=lambda: got.append(attach(berthd, cid)))
    thread.start()
    time.sleep(0.5)
    berthd.api("POST", "/containers/%s/start" % cid)
    thread.join()
    assert got == [b"one\ntwo\none\ntwo\n"]


def test_log_of_what_has_ended_without_stream(berthd):
    cid = create(berthd, "sh", "-c", "echo one; echo two >&2")
    berthd.api("POST", "/containers/%s/start" % cid)
    berthd.json("POST", "/containers/%s/wait" % cid)
    assert attach(berthd, cid, "logs=1&stdout=1&stderr=1") == b"one\ntwo\n"
    assert attach(berthd, cid, "logs=1&stderr=1") == b"two\n"


def test_no_log_to_replay(berthd):
    cid = create(berthd, "sh", "-c", "read x; echo $x", OpenStdin=True, StdinOnce=True,
                 HostConfig={"NetworkMode": "none", "LogConfig": {"Type": "none"}})
    berthd.api("POST", "/containers/%s/start" % cid)
    got = []
    thread = threading.Thread(target=lambda: got.append(attach(berthd, cid)))
    thread.start()
    time.sleep(0.3)
    berthd.docker("attach", "--no-stdin=false", cid, input="hello\n")
    thread.join()
    assert got == [b"hello\n"]
