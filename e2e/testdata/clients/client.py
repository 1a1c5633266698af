# SPDX-License-Identifier: Apache-2.0
"""What a program does that uses Debian's python3-docker."""
import io
import os
import sys
import tarfile

import docker

client = docker.DockerClient(base_url=os.environ["DOCKER_HOST"], version=os.environ["DOCKER_API_VERSION"])
client.ping()
client.info()
web = client.containers.run("busybox", ["sh", "-c", "echo ready; sleep 1000"], name="py-web", detach=True,
                            init=False, network_mode="none", environment={"A": "1"})
for line in web.logs(stream=True):
    break
web.reload()
print(web.exec_run("id").output, web.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True).output)
socket = web.exec_run("cat", stdin=True, socket=True).output
socket._sock.sendall(b"GET /not/a/request HTTP/1.1\r\nHost: x\r\n\r\n")
socket.close()
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    tar.addfile(tarfile.TarInfo("empty"))
web.put_archive("/tmp", archive.getvalue())
sum(len(chunk) for chunk in web.get_archive("/bin/busybox")[0])
web.top()
next(web.stats(stream=True, decode=True))
list(client.events(since=0, until=1))
for _ in range(30):
    client.containers.list(all=True, sparse=True)
client.images.get("busybox").history()
client.volumes.create("py-data").remove()
try:
    client.containers.get("no/such?container")
except docker.errors.NotFound:
    pass
web.remove(force=True)
client.close()
