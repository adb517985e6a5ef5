#!/bin/sh
# Makes, once, the authorities and certificates of the three nodes in /certificates: one authority for clients, one for nodes among themselves.
set -eu
cd /certificates
[ -f clients/ca.pem ] || sluice certs init --dir clients --name 'Sluice, for clients'
[ -f nodes/ca.pem ] || sluice certs init --dir nodes --name 'Sluice, between nodes'
for node in n1 n2 n3; do
  [ -f "clients/$node.pem" ] || sluice certs issue "$node" --dir clients --server --host "$node" --host localhost --host 127.0.0.1
  [ -f "nodes/$node.pem" ] || sluice certs issue "$node" --dir nodes --node --host "$node"
done
