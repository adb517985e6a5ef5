import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const FIRST_PORT = 12_000;
const ATTEMPTS = 100;

/** What was given in this process: who got a port may not have bound it yet, or may bind it again. */
const given = new Set<number>();

/**
 * A port that is free for TCP and UDP, below those that the system gives to clients: so it is still free when a node that was
 * killed is started again, however many clients have come meanwhile. None is given twice.
 */
export async function steadyPort(host: string): Promise<number> {
  const firstOfClients = Number(
    readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0],
  );
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (firstOfClients - FIRST_PORT));
    if (given.has(port)) continue;
    given.add(port);
    if ((await isFreeForUdp(host, port)) && (await isFreeForTcp(host, port))) return port;
  }
  throw new Error(`no free port found in ${FIRST_PORT} to ${firstOfClients}`);
}

async function isFreeForUdp(host: string, port: number): Promise<boolean> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    const listening = once(socket, 'listening');
    socket.bind(port, host);
    await listening;
    return true;
  } catch {
    return false;
  } finally {
    await new Promise<void>((resolve) => socket.close(resolve));
  }
}

async function isFreeForTcp(host: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    const listening = once(server, 'listening');
    server.listen(port, host);
    await listening;
    return true;
  } catch {
    return false;
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
