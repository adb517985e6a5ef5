#!/usr/bin/env bash
# Start a private dockerd (Debian docker.io), only if no engine answers. Prints the DOCKER_HOST to export.
set -euo pipefail
if docker version -f '{{.Server.Version}}' >/dev/null 2>&1; then echo "${DOCKER_HOST:-unix:///var/run/docker.sock}"; exit 0; fi
[ "$(id -u)" = 0 ] || { echo "no Docker engine, and not root to start one" >&2; exit 1; }
command -v dockerd >/dev/null || { apt-get update -q; apt-get install -y -q --no-install-recommends docker.io iptables nftables; } >&2
R=${DOCKERD_RUN:-/run/sluice-docker}; D=${DOCKERD_DATA:-/var/lib/sluice-docker}; mkdir -p "$R" "$D"
cat /proc/sys/net/ipv4/ip_forward > "$R/ip_forward.before"
for i in iptables ip6tables; do $i -S FORWARD 2>/dev/null | awk '/^-P/{print $3}' > "$R/$i.forward.before"; done || true
POOL=${DOCKERD_POOL:-10.213.0.0/16}
# packets for a network that has just been removed must die here, not follow the default route out
ip route replace blackhole "$POOL" metric 4278198272
setsid dockerd --host "unix://$R/docker.sock" --data-root "$D" --exec-root "$R/exec" --pidfile "$R/dockerd.pid" \
  --bip "${POOL%.0.0/16}.255.1/24" --default-address-pool "base=$POOL,size=24" --mtu "$(cat /sys/class/net/eth0/mtu 2>/dev/null || echo 1500)" \
  ${DOCKERD_OPTS:-} < /dev/null > "$R/dockerd.log" 2>&1 &
for i in $(seq 100); do DOCKER_HOST="unix://$R/docker.sock" docker version -f '{{.Server.Version}}' >/dev/null 2>&1 && { echo "unix://$R/docker.sock"; exit 0; }; sleep .1; done
tail -20 "$R/dockerd.log" >&2; exit 1
