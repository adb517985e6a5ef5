import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ERRORS } from '../../../src/kernel/errors.ts';
import { BrokenWatch } from '../../../src/transport/http2/broken-watch.ts';
import { createHttp2Transport } from '../../../src/transport/http2/http2-transport.ts';
import type { CloseReason, Connection, Stream } from '../../../src/transport/transport.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { TransportStage, tlsCredentials } from '../../support/transport-stage.ts';
import { turns } from '../../support/turns.ts';
import { rawPair } from './http2-stage.ts';
import type { RawHttp2 } from './raw-http2.ts';
import { data, request, settings, windowUpdate } from './raw-http2.ts';

const MiB = 1024 * 1024;
const INITIAL_WINDOW_SIZE = 4;

class Watched {
  readonly clock = new FakeClock();
  readonly socket = { bytesWritten: 100 };
  isBroken = false;
  looks = 0;
  told = 0;
  readonly watch = new BrokenWatch({
    ...{ socket: this.socket, clock: this.clock },
    isBroken: () => {
      this.looks += 1;
      return this.isBroken;
    },
    onBroken: () => (this.told += 1),
  });
}

describe('watch for a broken connection', () => {
  it('asks the system after something was written, and only then', () => {
    const on = new Watched();
    on.clock.advance(10_000);
    expect(on.looks).toBe(0);
    on.socket.bytesWritten += 1;
    on.clock.advance(10_000);
    expect([on.looks, on.told]).toEqual([1, 0]);
  });

  it('tells once, within a second', () => {
    const on = new Watched();
    on.isBroken = true;
    on.socket.bytesWritten += 1;
    on.clock.advance(1_000);
    expect(on.told).toBe(1);
    on.socket.bytesWritten += 1;
    on.clock.advance(10_000);
    expect([on.told, on.clock.pendingTimers]).toEqual([1, 0]);
  });

  it('ends when it is stopped', () => {
    const on = new Watched();
    on.watch.stop();
    expect(on.clock.pendingTimers).toBe(0);
  });
});

describe('http2 connection whose client was killed', () => {
  const clock = new FakeClock();
  const stage = new TransportStage({
    create: () => createHttp2Transport({ clock }),
    credentials: tlsCredentials,
    datagrams: false,
    verifies: true,
  });
  beforeEach(() => stage.open());
  afterEach(() => stage.close());

  /** A client that gives room for many bytes and reads none, and opens 500 streams. */
  async function burst(onStream: (stream: Stream) => void): Promise<{ raw: RawHttp2; server: Connection }> {
    const { raw, server } = await rawPair(stage, {
      first: settings([[INITIAL_WINDOW_SIZE, MiB]]),
      limits: { maxStreams: 500 },
    });
    server.onStream = onStream;
    await raw.settled();
    raw.socket.pause();
    raw.send(windowUpdate(0, 1024 * MiB));
    for (let n = 0; n < 500; n += 1) {
      const id = 3 + 2 * n;
      raw.send(request(id, '/sluice/1/bidi', { 'x-sluice-id': String(4 * n) }), data(id, Buffer.alloc(1024)));
    }
    return { raw, server };
  }

  /** Opens a burst and answers it until no more of it is read: the answers are stuck. */
  async function stuck(): Promise<{ raw: RawHttp2; server: Connection; open: ReadonlySet<Stream> }> {
    const open = new Set<Stream>();
    const { raw, server } = await burst((stream) => {
      open.add(stream);
      stream.send!.onStopped = () => open.delete(stream);
      stream.send!.write(Buffer.alloc(256 * 1024));
    });
    for (let before = -1; before < open.size;) {
      before = open.size;
      await turns(50);
    }
    return { raw, server, open };
  }

  /** How the connection ends, in at most five seconds. */
  async function endOf(server: Connection): Promise<CloseReason | undefined> {
    let end: CloseReason | undefined;
    server.onClose = (reason) => (end = reason);
    for (let second = 0; second < 5 && !end; second += 1) {
      await turns(100);
      clock.advance(1_000);
      await turns(10);
    }
    return end;
  }

  it('is over within seconds when answers wait that it did not read', async () => {
    const { raw, server, open } = await stuck();
    expect(open.size).toBeGreaterThan(1);
    raw.socket.destroy(); // what it did not read makes the system send RST, as for a process that is killed
    expect(await endOf(server)).toMatchObject({ errorCode: ERRORS.UNAVAILABLE.wire, by: 'transport' });
    expect(open.size).toBe(0);
  });

  it('is over within seconds in the middle of a burst', async () => {
    const begun = Promise.withResolvers<undefined>();
    const { raw, server } = await burst((stream) => {
      stream.send!.write(Buffer.alloc(64 * 1024));
      raw.socket.destroy();
      begun.resolve(undefined);
    });
    await begun.promise;
    expect(await endOf(server)).toMatchObject({ errorCode: ERRORS.UNAVAILABLE.wire, by: 'transport' });
  });

  it('goes on while the client only does not read', async () => {
    const { raw, server } = await stuck();
    expect(await endOf(server)).toBeUndefined();
    raw.socket.destroy();
    expect(await endOf(server)).toBeDefined();
  });
});
