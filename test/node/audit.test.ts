import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { Node } from '../../src/node/node.ts';
import type { LogFields } from '../../src/telemetry/logger.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import { DEFAULT_LIMITS } from '../../src/transport/limits.ts';
import { createQuicTransport } from '../../src/transport/quic/quic-transport.ts';
import { batchOf, NativeClient, produce } from '../gateway/quic/native-client.ts';

const ADMIN_TOKEN = 'a-token-for-tests-with-32-characters-or-more';

describe('security events of a node', () => {
  let dataDir: string;
  let node: Node;
  let events: { evt: string; fields: LogFields | undefined }[];

  beforeEach(async () => {
    events = [];
    const note = (evt: string, fields?: LogFields): void => {
      if (evt.startsWith('security.') && evt !== 'security.certificate_issued') events.push({ evt, fields });
    };
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-audit-'));
    const free = '127.0.0.1:0';
    const { settings } = loadConfig({
      file: undefined,
      env: {},
      flags: {
        dataDir,
        'quic.listen': free,
        'tls.listen': 'off',
        'http.listen': free,
        'auth.mode': 'required',
        'auth.adminToken': ADMIN_TOKEN,
      },
    });
    node = await Node.start(settings, { log: { ...silentLogger, info: note, warn: note } });
  });
  afterEach(async () => {
    await node[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true });
  });

  async function connect(): Promise<NativeClient> {
    const connection = await createQuicTransport({ clock: systemClock, random: systemRandom }).connect({
      host: '127.0.0.1',
      port: node.addresses.quic.port,
      serverName: undefined,
      authoritiesPem: await readFile(node.authorityFile!, 'utf8'),
      identity: undefined,
      limits: DEFAULT_LIMITS,
      signal: undefined,
    });
    return new NativeClient(connection);
  }

  it('say who was denied what, and from where', async () => {
    const admin = await connect();
    await admin.hello({ token: ADMIN_TOKEN });
    const grants = [{ topics: 'own', operations: ['publish'] }];
    const { token } = await admin.request({ case: 'createToken', value: { principal: 'ingest', grants } });
    const client = await connect();
    await client.hello({ token });
    const { error } = await produce(client.bidi(), 'other', batchOf(['x']));
    const denied = events.at(-1)!;
    expect([error, denied.evt]).toEqual(['FORBIDDEN', 'security.access_denied']);
    expect(denied.fields).toMatchObject({ principal: 'ingest', operation: 'publish', topic: 'other' });
    expect(denied.fields?.['remoteAddress']).toBe(
      events.findLast(({ evt }) => evt === 'security.authenticated')!.fields?.['remoteAddress'],
    );
    expect(events.map(({ evt }) => evt)).toEqual([
      'security.authenticated',
      'security.token_created',
      'security.authenticated',
      'security.access_denied',
    ]);
    admin.connection.close(0, '');
    client.connection.close(0, '');
  });

  it('are counted where authentication failed', async () => {
    const client = await connect();
    client.sendHello({ token: 'slt_wrong' });
    await client.control.error();
    const metrics = await fetch(`http://127.0.0.1:${node.addresses.http!.port}/metrics`);
    expect(await metrics.text()).toMatch(/^sluice_authentications_failed_total 1$/m);
    expect(events.map(({ evt }) => evt)).toEqual(['security.authentication_failed']);
  });
});
