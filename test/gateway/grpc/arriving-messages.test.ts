import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ArrivingMessages } from '../../../src/gateway/grpc/arriving-messages.ts';
import { Slots } from '../../../src/kernel/slots.ts';

const MiB = 1024 * 1024;

class Stage {
  counted = 0;
  readonly gone = new AbortController();
  readonly inflating = new Slots(1);
  readonly messages = new ArrivingMessages({
    maxBytes: MiB,
    inflating: this.inflating,
    asker: { gone: this.gone.signal },
    count: (bytes) => (this.counted += bytes),
  });
}

const status = (code: number, name: string): object => ({
  code,
  metadata: { internalRepr: new Map([['sluice-error', [name]]]) },
});

describe('messages that arrive', () => {
  it('hold as much as their parts keep in memory, until they are complete and handed on', () => {
    const stage = new Stage();
    const read = Buffer.from(new ArrayBuffer(64 * 1024));
    stage.messages.part(read.subarray(0, 1));
    expect(stage.counted).toBeGreaterThan(read.length);
    for (let at = 1; at < 1000; at++) stage.messages.part(read.subarray(at, at + 1));
    // Each of a thousand parts costs something, and what they share is there once.
    expect(stage.counted).toBeGreaterThan(read.length + 1000 * 100);
    expect(stage.counted).toBeLessThan(read.length + 1000 * 1000);
    void stage.messages.complete(read.subarray(0, 1000), 'identity');
    expect(stage.counted).toBe(1000);
    expect(stage.messages.heldBytes).toBe(1000);
    stage.messages.handedOn(1000);
    expect(stage.counted).toBe(0);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ])('compressed by %s hold what they inflate to', async (encoding, compress) => {
    const stage = new Stage();
    const contents = Buffer.alloc(100_000, 'x');
    expect(await stage.messages.complete(compress(contents), encoding)).toEqual(contents);
    expect(stage.counted).toBe(contents.length);
  });

  it.each([
    ['that are too large', 'identity', Buffer.alloc(MiB + 1), status(8, 'OVERLOADED')],
    ['that inflate to too much', 'gzip', gzipSync(Buffer.alloc(MiB + 1)), status(8, 'OVERLOADED')],
    ['that are cut', 'gzip', gzipSync(Buffer.alloc(100)).subarray(0, 15), status(3, 'PROTOCOL_ERROR')],
    ['that are empty', 'gzip', Buffer.alloc(0), status(3, 'PROTOCOL_ERROR')],
    ['compressed in another way', 'zstd', Buffer.alloc(10), status(12, 'UNSUPPORTED')],
  ])('%s end their call', async (_name, encoding, contents, expected) => {
    await expect(new Stage().messages.complete(contents, encoding)).rejects.toMatchObject(expected);
  });

  it('are inflated a few at a time, and not for calls that are over', async () => {
    const stage = new Stage();
    const busy = Promise.withResolvers<undefined>();
    const first = stage.inflating.run(() => busy.promise);
    const second = Promise.resolve(stage.messages.complete(gzipSync(Buffer.alloc(MiB)), 'gzip'));
    stage.gone.abort();
    await expect(second).rejects.toMatchObject(status(1, 'CANCELLED'));
    busy.resolve(undefined);
    await first;
  });
});
