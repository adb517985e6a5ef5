import { EventEmitter } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BulkSocket } from '../../../src/transport/bulk/bulk-socket.ts';
import { HEADER_BYTES, KIND, writeHeader } from '../../../src/transport/bulk/frames.ts';
import { FakeClock } from '../../support/fake-clock.ts';

/** A connection on which nothing can be sent. */
class DeafSocket extends EventEmitter {
  pause(): void {
    this.emit('paused');
  }

  resume(): void {
    this.emit('resumed');
  }
}

const settings = { maxMessageBytes: 1000, windowBytes: 1000, keepAliveMs: 1000, keepAliveTimeoutMs: 1000 };

describe('very many very small messages', () => {
  afterEach(() => vi.restoreAllMocks());

  it('are copied once, however often their reader pauses in between', async () => {
    const socket = new DeafSocket();
    const bulk = new BulkSocket(socket as unknown as TLSSocket, { settings, clock: new FakeClock() });
    let taken = 0;
    const all = Promise.withResolvers<undefined>();
    bulk.onFrame = () => {
      taken++;
      bulk.pause();
      queueMicrotask(() => bulk.resume());
      if (taken === 3000) all.resolve(undefined);
    };
    const message = Buffer.alloc(HEADER_BYTES);
    writeHeader(message, KIND.message, 0);
    const bytes = Buffer.alloc(3000 * HEADER_BYTES, message);
    const concatenated = vi.spyOn(Buffer, 'concat');
    const copied = vi.spyOn(Buffer, 'from');
    bulk.received(bytes);
    // Whoever read them may read into the same memory again.
    bytes.fill(0xff);
    await all.promise;
    expect(concatenated.mock.calls.length + copied.mock.calls.length).toBe(1);
    bulk.onFrame = () => undefined;
  });
});
