import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { Node } from '../../src/node/node.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { createHttp2Transport } from '../../src/transport/http2/http2-transport.ts';
import { DEFAULT_LIMITS } from '../../src/transport/limits.ts';
import { createQuicTransport } from '../../src/transport/quic/quic-transport.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { FRAME } from '../../src/wire/frame.ts';
import { batchOf, NativeClient, produce, receive } from '../gateway/quic/native-client.ts';

const ADMIN_TOKEN = 'a-token-for-tests-with-32-characters-or-more';

describe('node', () => {
  let dataDir: string;
  const parts: AsyncDisposableStack[] = [];

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-node-'));
  });
  afterEach(async () => {
    for (const stack of parts.splice(0)) await stack.disposeAsync();
    await rm(dataDir, { recursive: true });
  });

  function settings(flags: Readonly<Record<string, unknown>> = {}): Settings {
    const free = '127.0.0.1:0';
    return loadConfig({
      file: undefined,
      env: {},
      flags: { dataDir, 'quic.listen': free, 'tls.listen': free, 'http.listen': free, ...flags },
    }).settings;
  }

  async function start(flags: Readonly<Record<string, unknown>> = {}): Promise<Node> {
    const node = await Node.start(settings(flags), { log: silentLogger });
    const stack = new AsyncDisposableStack();
    stack.use(node);
    parts.push(stack);
    return node;
  }

  async function connect(node: Node, transport: Transport): Promise<NativeClient> {
    const { port } = transport.scheme === 'tls' ? node.addresses.tls! : node.addresses.quic;
    const connection = await transport.connect({
      host: '127.0.0.1',
      port,
      serverName: undefined,
      authoritiesPem: await readFile(node.authorityFile!, 'utf8'),
      identity: undefined,
      limits: DEFAULT_LIMITS,
      signal: undefined,
    });
    return new NativeClient(connection);
  }

  const quic = (): Transport => createQuicTransport({ clock: systemClock, random: systemRandom });
  const http2 = (): Transport => createHttp2Transport({ clock: systemClock });

  it.each([
    ['QUIC', quic],
    ['HTTP/2', http2],
  ])('carries a record from a publisher to a subscriber over %s', async (_name, transport) => {
    const node = await start();
    const client = await connect(node, transport());
    await client.hello();
    await client.request({ case: 'subscribe', value: { subscriptionId: 1, filter: 'news' } });
    const { channel } = await client.delivery();
    await produce(client.bidi(), 'news', batchOf(['hello']));
    expect(await receive(channel, 1)).toEqual(['hello']);
    client.connection.close(0, 'done');
  });

  it('names itself and its addresses in WELCOME', async () => {
    const node = await start({ 'node.id': 'broker-7' });
    const client = await connect(node, quic());
    const { nodeId, nodes } = await client.hello();
    const { quic: udp, tls } = node.addresses;
    expect([nodeId, nodes[0]!.nodeId]).toEqual(['broker-7', 'broker-7']);
    expect(nodes[0]!.urls).toEqual([`quic://127.0.0.1:${udp.port}`, `tls://127.0.0.1:${tls!.port}`]);
    client.connection.close(0, 'done');
  });

  it('serves health, readiness and metrics', async () => {
    const node = await start();
    const base = `http://127.0.0.1:${node.addresses.http!.port}`;
    const statuses = await Promise.all(['/healthz', '/readyz', '/metrics'].map((path) => fetch(base + path)));
    const metrics = await statuses[2]!.text();
    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(metrics).toMatch(/^sluice_records_in_total 0$/m);
  });

  it('is not ready while it drains, and lets go of its clients', async () => {
    const node = await start();
    const client = await connect(node, quic());
    await client.hello();
    const drained = node.drain();
    await client.control.expect(FRAME.GOAWAY);
    expect(node.readiness.ready).toBe(false);
    client.control.send!.end();
    await drained;
    expect((await client.closed).errorCode).toBe(0);
  });

  it('asks for a token where authentication is required', async () => {
    const node = await start({ 'auth.mode': 'required', 'auth.adminToken': ADMIN_TOKEN });
    const stranger = await connect(node, quic());
    stranger.sendHello();
    expect(await stranger.control.error()).toBe('UNAUTHENTICATED');
    const admin = await connect(node, quic());
    expect((await admin.hello({ token: ADMIN_TOKEN })).principal).toBe('admin');
    admin.connection.close(0, 'done');
  });

  it('keeps topics over a restart', async () => {
    const first = await start();
    const client = await connect(first, quic());
    await client.hello();
    await client.request({ case: 'createTopic', value: { name: 'orders', partitions: 3 } });
    await first[Symbol.asyncDispose]();
    const again = await connect(await start(), quic());
    await again.hello();
    const { topic } = await again.request({ case: 'describeTopic', value: { name: 'orders' } });
    expect(topic!.partitions).toHaveLength(3);
    again.connection.close(0, 'done');
  });

  it('refuses a data directory that another node uses', async () => {
    await start();
    await expect(start()).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
  });

  it('of a cluster leaves alone what a node on its own keeps', async () => {
    const alone = await start();
    const client = await connect(alone, quic());
    await client.hello();
    await client.request({ case: 'createTopic', value: { name: 'orders' } });
    await alone[Symbol.asyncDispose]();
    const files = { 'peer.tls.certificate': 'a', 'peer.tls.key': 'a', 'peer.tls.ca': 'a' };
    const etcd = { 'cluster.etcd.endpoints': 'http://127.0.0.1:1', 'node.id': 'a' };
    await expect(start({ ...files, ...etcd })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('orders') as string,
    });
    await start();
  });

  it('undoes what was started when an address is taken', async () => {
    const other = await start();
    const taken = `127.0.0.1:${other.addresses.http!.port}`;
    const dir = await mkdtemp(join(tmpdir(), 'sluice-node-'));
    const attempt = start({ dataDir: dir, 'http.listen': taken });
    await expect(attempt).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' });
    // The directory is free again: nothing of the failed start is left.
    const node = await start({ dataDir: dir });
    await node[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });

  it('refuses to be open to everybody beyond this machine', async () => {
    const open = { ...settings(), quic: { listen: { host: '0.0.0.0', port: 0 }, advertise: null } };
    await expect(Node.start(open, { log: silentLogger })).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  it('closes connections that are left when it stops', async () => {
    const node = await start();
    const client = await connect(node, quic());
    await client.hello();
    await node[Symbol.asyncDispose]();
    expect((await client.closed).by).toBe('peer');
  });
});
