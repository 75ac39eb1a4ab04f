#!/usr/bin/env bash
# A Docker engine with Compose and the base image, for `make test-compose`.
#
#   engine.sh check   say whether all is there, and what to do where it is not
#   engine.sh start   start dockerd where none answers (root), and make the base image where it cannot be pulled
#   engine.sh stop    stop the dockerd that `start` started; one that ran before is left alone
#
# Exit code 0: ready; 69: cannot be had on this machine, the reason stands on standard error.
set -euo pipefail

base=${VIGIL_BASE_IMAGE:-python:3.11-slim-bookworm}
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
state=$(cd "$(dirname "$0")/../.." && pwd)/var/engine
unavailable=69

give_up() { echo "no compose tests: $*" >&2; exit "$unavailable"; }
answers() { timeout 20 docker info >/dev/null 2>&1; }
has_base() { docker image inspect "$base" >/dev/null 2>&1; }

check_tools() {
  command -v docker >/dev/null ||
    give_up "docker is missing; install it (Debian: apt-get install docker.io docker-compose iptables debootstrap)"
  docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
    give_up "Compose is missing; install the plugin docker-compose-plugin, or Debian's docker-compose"
}

check() {
  check_tools
  answers || give_up "no Docker engine answers; start one (systemctl start docker, or as root: tests/compose/engine.sh start)"
  has_base || timeout 120 docker pull -q "$base" >/dev/null 2>&1 ||
    give_up "the base image $base is not here and cannot be pulled; make one (as root: tests/compose/engine.sh start)"
}

start_daemon() {
  answers && return
  [ "$(id -u)" = 0 ] || give_up "no Docker engine answers, and only root can start one"
  command -v dockerd >/dev/null || give_up "dockerd is missing; install docker.io"
  mkdir -p "$state"
  setsid dockerd --pidfile "$state/dockerd.pid" >"$state/dockerd.log" 2>&1 </dev/null &
  local daemon=$!
  for _ in {1..120}; do
    answers && return
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 5 "$state/dockerd.log" >&2
  kill "$daemon" 2>/dev/null || true
  rm -f "$state/dockerd.pid"
  give_up "dockerd did not start (it needs the privileges of a real or virtual machine); its log is $state/dockerd.log"
}

# Debian's own Python under the names of the public image; the certificates of this machine, so that builds trust what
# it trusts.
make_base() {
  has_base && return
  timeout 120 docker pull -q "$base" >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || give_up "$base cannot be pulled, and only root can make a base image by debootstrap"
  command -v debootstrap >/dev/null || give_up "$base cannot be pulled; install debootstrap, so that one can be made"
  local root
  root=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$root'" EXIT
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv "$suite" "$root" "$mirror" \
    >"$root.log" 2>&1 || { tail -n 5 "$root.log" >&2; give_up "debootstrap could not fetch Debian $suite from $mirror"; }
  rm -f "$root.log"
  for name in python python3; do ln -sf /usr/bin/python3 "$root/usr/local/bin/$name"; done
  [ ! -f /etc/ssl/certs/ca-certificates.crt ] ||
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  local changes=(--change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]')
  if [ -d "${PIP_FIND_LINKS:-}" ]; then # wheels that this machine's pip finds in a folder, builds find there too
    mkdir -p "$root$PIP_FIND_LINKS"
    cp "$PIP_FIND_LINKS"/*.whl "$root$PIP_FIND_LINKS" 2>/dev/null || true
    changes+=(--change "ENV PIP_FIND_LINKS=$PIP_FIND_LINKS")
  fi
  tar -C "$root" -c . | docker import "${changes[@]}" - "$base" >/dev/null
}

stop() {
  [ -f "$state/dockerd.pid" ] || return 0
  local daemon
  daemon=$(cat "$state/dockerd.pid")
  kill "$daemon" 2>/dev/null || true
  for _ in {1..60}; do
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.5
  done
  rm -f "$state/dockerd.pid"
}

case "${1:-}" in
  check) check ;;
  start) check_tools; start_daemon; make_base; check ;;
  stop) stop ;;
  *) echo "usage: engine.sh check | start | stop" >&2; exit 2 ;;
esac
