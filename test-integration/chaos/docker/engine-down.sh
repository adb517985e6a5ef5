#!/usr/bin/env bash
set -u; R=${DOCKERD_RUN:-/run/sluice-docker}; export DOCKER_HOST=unix://$R/docker.sock
[ -s "$R/dockerd.pid" ] || exit 0; P=$(cat "$R/dockerd.pid")
docker ps -aq | xargs -r docker rm -f >/dev/null; docker network prune -f >/dev/null
kill "$P"; for i in $(seq 100); do [ -d /proc/$P ] || break; sleep .1; done
ip link del docker0 2>/dev/null
# take out only what this dockerd put in (never flush whole tables: others may have rules there)
for i in iptables ip6tables; do
  $i-save 2>/dev/null | grep -vE 'DOCKER|docker0|br-[0-9a-f]{12}|-s 10\.213\.' > "$R/$i.keep" && $i-restore < "$R/$i.keep"
  [ -s "$R/$i.forward.before" ] && $i -P FORWARD "$(cat "$R/$i.forward.before")"
done 2>/dev/null
ip route del blackhole "${DOCKERD_POOL:-10.213.0.0/16}" metric 4278198272 2>/dev/null
cat "$R/ip_forward.before" > /proc/sys/net/ipv4/ip_forward
