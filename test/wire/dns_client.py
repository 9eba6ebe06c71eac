"""A DNS client of a few lines, run inside a container's network namespace: prints what was answered as JSON.

    dns_client.py SERVER PORT udp|tcp NAME TYPE [NAME TYPE ...]"""
import json
import random
import socket
import struct
import sys

TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}


def name_of(data, at):
    labels, end = [], None
    while data[at]:
        if data[at] >= 0xC0:
            end = end or at + 2
            at = (data[at] & 0x3F) << 8 | data[at + 1]
            continue
        labels.append(data[at + 1:at + 1 + data[at]].decode())
        at += 1 + data[at]
    return ".".join(labels), end or at + 1


def ask(server, port, transport, name, kind):
    number = random.randrange(65536)
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"
    query = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question + struct.pack(">HH", TYPES[kind], 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
    s.settimeout(15)
    s.connect((server, port))
    if transport == "udp":
        s.send(query)
        data = s.recv(65536)
    else:
        s.sendall(struct.pack(">H", len(query)) + query)
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
            piece = s.recv(65536)
            if not piece:
                break
            data += piece
        data = data[2:]
    s.close()
    got, flags, _, answers, _, _ = struct.unpack(">HHHHHH", data[:12])
    assert got == number
    _, at = name_of(data, 12)
    at += 4
    found = []
    for _ in range(answers):
        _, at = name_of(data, at)
        record, _, ttl, length = struct.unpack(">HHIH", data[at:at + 10])
        at += 10
        value = data[at:at + length]
        found.append(socket.inet_ntop(socket.AF_INET if record == 1 else socket.AF_INET6, value) if record in (1, 28)
                     else name_of(data, at)[0] if record == 12 else value.hex())
        at += length
    return {"rcode": flags & 15, "answers": found, "truncated": bool(flags & 0x200)}


if __name__ == "__main__":
    words = sys.argv[4:]
    print(json.dumps([ask(sys.argv[1], int(sys.argv[2]), sys.argv[3], words[i], words[i + 1]) for i in range(0, len(words), 2)]))
