import { afterEach, describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { PeerServices } from '../../src/peer/ports.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { turns } from '../support/turns.ts';
import type { PeerStage } from './peer-stage.ts';
import { fetchRequest, forward, publishOf, startPeers } from './peer-stage.ts';

describe('a stream of another node that fails', () => {
  let stage: PeerStage;
  afterEach(() => stage[Symbol.asyncDispose]());

  let lines: string[];
  async function start(services: Partial<PeerServices>): Promise<void> {
    const written: string[] = [];
    lines = written;
    const destination = { write: (line: string) => void written.push(line) };
    const log = createLogger({ level: 'info', format: 'json', destination });
    stage = await startPeers({ log, services });
  }

  /** Neither the text nor the code of a fault is told to who asked; the log of who was asked has both. */
  async function expectOnlyLogged(asked: Promise<unknown>): Promise<void> {
    const told = (await asked.catch((error: unknown) => error)) as SluiceError;
    expect(told.code).toBe('UNAVAILABLE');
    expect(`${told.message} ${String(told.cause)}`).not.toContain('secret');
    // It has ended there when its connection is closed.
    while (lines.length === 0) await turns(1);
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events).toMatchObject([{ level: 'error', evt: 'peer.stream_failed', peer: 'a' }]);
    expect(JSON.stringify(events[0])).toContain('secret');
  }

  it('because of a fault says so in the log only: forwards', async () => {
    const forwards = {
      forward: () => {
        throw new TypeError('secret');
      },
    };
    await start({ forwards });
    await expectOnlyLogged(forward(stage.client, publishOf()));
  });

  it('because of a fault says so in the log only: fetches', async () => {
    const replication = { fetch: () => Promise.reject(new TypeError('secret')), forget: () => undefined };
    await start({ replication });
    await expectOnlyLogged(stage.client.fetch('b', fetchRequest()));
  });

  it('in a single call says so in the log only, and so does a read', async () => {
    const fail = () => Promise.reject(new TypeError('secret'));
    const partitions = { describe: () => [], listOffsets: fail, deleteRecords: fail };
    await start({ partitions, copies: { read: fail } });
    const ref = { topicId: 't', partition: 0 };
    const asked = [
      () => stage.client.listOffsets('b', [ref], { at: 'latest' }),
      () => stage.client.read('b', { ...ref, offset: 0, maxBytes: 1, maxWaitMs: 0 }),
    ];
    for (const ask of asked) {
      const error = (await ask().catch((thrown: unknown) => thrown)) as SluiceError;
      expect([error.code, error.message.includes('secret')]).toEqual(['INTERNAL', false]);
    }
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events).toMatchObject(asked.map(() => ({ level: 'error', evt: 'peer.call_failed', peer: 'a' })));
    for (const event of events) expect(JSON.stringify(event)).toContain('secret');
  });

  it('because it has to is not in the log', async () => {
    const fetch = () => Promise.reject(new SluiceError('NOT_LEADER', 'not any more'));
    await start({ replication: { fetch, forget: () => undefined } });
    await expect(stage.client.fetch('b', fetchRequest())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await stage[Symbol.asyncDispose]();
    expect(lines).toEqual([]);
  });
});
