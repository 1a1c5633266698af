# SPDX-License-Identifier: Apache-2.0
"""Requests as libraries do not write them, each answered before the connection ends."""
import os
import re
import socket
import time

path = os.environ["DOCKER_HOST"].removeprefix("unix://")
version = "/v" + os.environ["DOCKER_API_VERSION"]


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)
    return s


def answers(s, n):
    got = b""
    while len(re.findall(rb"HTTP/1\.1 [2-5]\d\d ", got)) < n:
        piece = s.recv(65536)
        if not piece:
            raise EOFError("%d answers wanted, got %r" % (n, got))
        got += piece


def get(target, *headers):
    return ("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (target, "".join(h + "\r\n" for h in headers))).encode()


def post(target, body, chunks=None):
    head = "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % target
    if chunks is None:
        return (head + "Content-Length: %d\r\n\r\n%s" % (len(body), body)).encode()
    pieces = [body[i:i + chunks] for i in range(0, len(body), chunks)]
    return (head + "Transfer-Encoding: chunked\r\n\r\n" + "".join("%x;x=y\r\n%s\r\n" % (len(p), p) for p in pieces) + "0\r\n\r\n").encode()


create = '{"Image":"busybox","Cmd":["GET /inner HTTP/1.1\\r\\n\\r\\n"],"HostConfig":{"NetworkMode":"none"},"Labels":{"l":"%s"}}'

# Pipelined: all of it in one write, and cut at every odd place.
many = b"".join(get(version + "/containers/raw-%d/json" % i) for i in range(40))
s = connect()
s.sendall(many)
answers(s, 40)
s = connect()
for i in range(0, len(many), 7):
    s.sendall(many[i:i + 7])
answers(s, 40)

# Bodies before other requests: with a length, in chunks, empty, long.
s = connect()
s.sendall(post(version + "/containers/create?name=raw-a", create % "a") + get(version + "/containers/raw-a/json") +
          post(version + "/containers/create?name=raw-b", create % "b", 5) + get(version + "/containers/raw-b/json") +
          post(version + "/containers/raw-a/rename?name=raw-c", "") + get(version + "/containers/raw-c/json"))
answers(s, 6)
s = connect()
s.sendall(post(version + "/containers/create?name=raw-d", create % ("x" * 300000), 4000) + get(version + "/containers/raw-d/json"))
answers(s, 2)

# A slow head and a slow body.
s = connect()
for piece in (b"GET ", version.encode(), b"/info HTTP/1.1\r\nHo", b"st: x\r\n\r\n"):
    s.sendall(piece)
    time.sleep(0.1)
answers(s, 1)
body = create % "slow"
slow = post(version + "/containers/create?name=raw-e", body)
s.sendall(slow[:-50])
time.sleep(1.5)
s.sendall(slow[-50:])
answers(s, 1)

# Unversioned, absolute, with odd escapes, by HTTP/1.0.
s = connect()
s.sendall(get("/containers/raw%2Dc/json?size=1") + get("http://other" + version + "/volumes") + get("/images/json?filters=%7B%22a%22%3A%5B%22b%22%5D%7D") +
          get(version + '/containers/a"b\\c/json'))
answers(s, 4)
s = connect()
s.sendall(b"GET /version HTTP/1.0\r\n\r\n")
while s.recv(65536):
    pass
for name in ("raw-b", "raw-c", "raw-d", "raw-e"):
    s = connect()
    s.sendall(("DELETE %s/containers/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (version, name)).encode())
    answers(s, 1)
