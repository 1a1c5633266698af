# SPDX-License-Identifier: Apache-2.0
"""Asks a Docker Engine the same requests again and again, as monitoring does.

client.py TIMES REQUEST ...

A request is METHOD PATH; {id} in it stands for each container. One connection is
kept, as HTTP libraries keep it.
"""
import http.client
import json
import os
import socket
import sys


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ.get("SOCK", "/var/run/docker.sock"))


def ask(connection, method, path):
    connection.request(method, path, headers={"User-Agent": os.environ.get("AGENT", "client")})
    return connection.getresponse().read()


connection = Connection("docker")
for _ in range(int(sys.argv[1])):
    for method, path in (r.split(" ", 1) for r in sys.argv[2:]):
        if "{id}" not in path:
            ask(connection, method, path)
            continue
        for c in json.loads(ask(connection, "GET", "/containers/json")):
            ask(connection, method, path.replace("{id}", c["Id"]))
