#!/usr/bin/env python3
"""delay.py MILLISECONDS: holds everything that this network namespace receives, for so long.

A rule of iptables gives the packets to a queue of the kernel (nfnetlink_queue); the verdict is what comes late. Ends on SIGTERM: the rule
goes, and what is held is let through. For kernels that have no netem; not every one that has this queue lets nft use it."""
import select, signal, socket, struct, subprocess, sys, time
from collections import deque

DELAY = float(sys.argv[1]) / 1000
QUEUE = 7
ACCEPT = 1
NETLINK_NETFILTER, SUBSYSTEM_QUEUE = 12, 3
PACKET, VERDICT_BATCH, CONFIG = 0x300, 3, 2

nl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
nl.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
nl.setsockopt(270, 5, 1)  # NETLINK_NO_ENOBUFS


def attribute(kind, data):
    return struct.pack('=HH', 4 + len(data), kind) + data + b'\0' * (-len(data) % 4)


def message(kind, body, flags=1):
    body = struct.pack('>BBH', 0, 0, QUEUE) + body
    return struct.pack('=IHHII', 16 + len(body), (SUBSYSTEM_QUEUE << 8) | kind, flags, 0, 0) + body


def configure(body):
    nl.send(message(CONFIG, body, flags=5))
    code = struct.unpack_from('=i', nl.recv(4096), 16)[0]
    if code != 0:
        sys.exit(f'nfnetlink_queue: error {-code}')


configure(attribute(1, struct.pack('>BBH', 1, 0, 0)))  # bind the queue
configure(attribute(2, struct.pack('>IB', 0, 1)))  # only what a packet is, not its bytes
configure(attribute(3, struct.pack('>I', 20000)))  # packets that may wait
configure(attribute(4, struct.pack('>I', 4)) + attribute(5, struct.pack('>I', 4)))  # large packets whole
nl.setblocking(False)
RULE = ['INPUT', '!', '-i', 'lo', '-j', 'NFQUEUE', '--queue-num', str(QUEUE), '--queue-bypass']


def change(how, check):
    subprocess.run(['iptables', '-w', '-t', 'mangle', how, *RULE], check=check)
    subprocess.run(['ip6tables', '-w', '-t', 'mangle', how, *RULE], check=False, stderr=subprocess.DEVNULL)


change('-I', True)
stopping = []
for one in (signal.SIGTERM, signal.SIGINT):
    signal.signal(one, lambda *_: stopping.append(True))
print('ready', flush=True)

held = deque()
while not stopping:
    wait = min(0.3, max(0.0, held[0][0] - time.monotonic())) if held else 0.3
    readable, _, _ = select.select([nl], (), (), wait)
    for _ in range(64 if readable else 0):
        try:
            data = nl.recv(65536)
        except BlockingIOError:
            break
        due, at = time.monotonic() + DELAY, 0
        while at < len(data):
            length, kind = struct.unpack_from('=IH', data, at)
            if kind == PACKET:
                held.append((due, struct.unpack_from('>I', data, at + 24)[0]))
            at += (length + 3) & ~3
    now, last = time.monotonic(), None
    while held and held[0][0] <= now:
        last = held.popleft()[1]
    if last is not None:  # all up to this one
        nl.send(message(VERDICT_BATCH, attribute(2, struct.pack('>II', ACCEPT, last))))

change('-D', False)
if held:
    nl.send(message(VERDICT_BATCH, attribute(2, struct.pack('>II', ACCEPT, held[-1][1]))))
