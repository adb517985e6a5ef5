import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeOf, readAll } from '../../support/transport-streams.ts';
import { http2Stage, rawPair } from './http2-stage.ts';
import type { RawFrame } from './raw-http2.ts';
import { FRAME_TYPE, goaway, request, reset, windowUpdate } from './raw-http2.ts';

const stage = http2Stage();
beforeEach(() => stage.open());
afterEach(() => stage.close());

const park = (streamId: number): Buffer => request(streamId, '/sluice/1/parked');
const dataOn =
  (streamId: number) =>
  (frame: RawFrame): boolean =>
    frame.type === FRAME_TYPE.DATA && frame.streamId === streamId;

describe('parked requests', () => {
  it('carry a stream on another one when the client has given up the first', async () => {
    const { raw, server } = await rawPair(stage);
    raw.send(park(3), park(5));
    await raw.settled();
    const send = server.openUni();
    raw.send(reset(3));
    await raw.settled();
    send.write(Buffer.from('on the second'));
    expect((await raw.next(dataOn(5))).payload.toString()).toBe('on the second');
  });

  it('let a stream wait for a new one when the client has given up all', async () => {
    const { raw, server } = await rawPair(stage);
    raw.send(park(3));
    await raw.settled();
    const send = server.openUni();
    raw.send(reset(3));
    await raw.settled();
    send.write(Buffer.from('first, '));
    send.write(Buffer.from('second'));
    send.end();
    expect(send.writable).toBe(false);
    raw.send(park(5));
    expect((await raw.next(dataOn(5))).payload.toString()).toBe('first, second');
  });

  it('are not used up by streams that are reset before their first byte', async () => {
    const { client, server } = await stage.pair();
    for (let i = 0; i < 100; i += 1) server.openUni().reset(7);
    const content = new Promise<Buffer>((resolve) => {
      client.onStream = (stream) => void readAll(stream.receive!).then(resolve);
    });
    const send = server.openUni();
    send.write(Buffer.from('still there'));
    send.end();
    expect((await content).toString()).toBe('still there');
  });

  it('go to none of the streams that were reset while they waited', async () => {
    const { raw, server } = await rawPair(stage);
    for (let i = 0; i < 5; i += 1) {
      const given = server.openUni();
      given.write(Buffer.from('given up'));
      given.reset(7);
    }
    const kept = server.openUni();
    kept.write(Buffer.from('kept'));
    raw.send(park(3));
    expect((await raw.next(dataOn(3))).payload.toString()).toBe('kept');
  });

  it('of a session that Node has ended are passed over: they are over before that is told', async () => {
    const { raw, server } = await rawPair(stage);
    raw.send(...Array.from({ length: 16 }, (_, index) => park(3 + 2 * index)));
    await raw.settled();
    const faults: unknown[] = [];
    const first = server.openUni();
    const told = new Promise<void>((resolve) => {
      first.onStopped = () => {
        try {
          server.openUni().write(Buffer.from('x'));
        } catch (error) {
          faults.push(error);
        }
        resolve();
      };
    });
    first.write(Buffer.from('x'));
    raw.send(windowUpdate(0, 0));
    await told;
    expect(faults).toEqual([]);
  });

  it('of a session that is ending make no call throw', async () => {
    const { raw, server } = await rawPair(stage);
    raw.send(...Array.from({ length: 16 }, (_, index) => park(3 + 2 * index)));
    await raw.settled();
    const sends = Array.from({ length: 8 }, () => server.openUni());
    for (const send of sends) send.write(Buffer.from('x'));
    const over = closeOf(server);
    const faults: unknown[] = [];
    const touch = (): void => {
      try {
        for (const send of sends) send.write(Buffer.from('y'));
        sends.shift()?.end();
        sends.shift()?.reset(7);
        server.openUni().write(Buffer.from('x'));
      } catch (error) {
        if ((error as { code?: unknown }).code === 'CLOSED') return;
        faults.push(error);
      }
      setImmediate(touch);
    };
    touch();
    raw.send(reset(3), reset(5), goaway(2));
    await over;
    expect(faults).toEqual([]);
  });
});
