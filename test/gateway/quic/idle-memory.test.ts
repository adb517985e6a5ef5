import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { HelloSchema, RequestSchema } from '../../../src/gen/sluice/client/v1/control_pb.ts';
import type { Connection, Stream } from '../../../src/transport/transport.ts';
import { encodeControl } from '../../../src/wire/control.ts';
import { FRAME } from '../../../src/wire/frame.ts';
import { GatewayStage } from './gateway-stage.ts';
import { settle } from './native-client.ts';

/** A connection that keeps nothing: what is measured is the gateway and the broker. */
class HollowConnection {
  onStream: ((stream: Stream) => void) | undefined;
  readonly maxDatagramBytes = 0;

  openUni(): object {
    return new HollowHalf();
  }
}

class HollowHalf {
  onWritable: unknown;
  onStopped: unknown;
  onData: ((chunk: Buffer) => void) | undefined;
  onEnd: unknown;
  onReset: unknown;
  readonly writable = true;
  readonly bufferedBytes = 0;

  write(): void {
    // Gone.
  }

  setPriority(): void {
    // Nothing to order.
  }
}

const HELLO = encodeControl(FRAME.HELLO, HelloSchema, { version: 1, clientId: 'idle' });

function open(stage: GatewayStage, subscriptions: number): HollowConnection {
  const connection = new HollowConnection();
  stage.gateway.accept(connection as unknown as Connection);
  const receive = new HollowHalf();
  connection.onStream!({ id: 0, send: new HollowHalf(), receive } as unknown as Stream);
  receive.onData!(HELLO);
  for (let id = 1; id <= subscriptions; id += 1) {
    const value = { subscriptionId: id, filter: `topic-${id}` };
    receive.onData!(
      encodeControl(FRAME.REQUEST, RequestSchema, { correlationId: id, body: { case: 'subscribe', value } }),
    );
  }
  return connection;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    await settle();
    collectGarbage();
  }
  return process.memoryUsage().heapUsed;
}

/** Bytes of heap for each of `count` connections with that many subscriptions. */
async function bytesEach(stage: GatewayStage, count: number, subscriptions: number): Promise<number> {
  const before = await heapBytes();
  const kept = Array.from({ length: count }, () => open(stage, subscriptions));
  const after = await heapBytes();
  expect(kept.length).toBe(count);
  return (after - before) / count;
}

/** The median of three: now and then megabytes of code that nobody uses any more go meanwhile, or the runner takes some. */
async function medianBytesEach(stage: GatewayStage, count: number, subscriptions: number): Promise<number> {
  const rounds: number[] = [];
  for (let round = 0; round < 3; round += 1) rounds.push(await bytesEach(stage, count, subscriptions));
  return rounds.sort((a, b) => a - b)[1]!;
}

describe('an idle connection', () => {
  it('keeps at most 2.5 KiB in gateway and broker, and 1,300 bytes more for each subscription', async () => {
    await using stage = await GatewayStage.open();
    open(stage, 10);
    await settle();
    await bytesEach(stage, 20, 10); // what is made once is not counted
    const bare = await medianBytesEach(stage, 500, 0);
    const subscribed = await medianBytesEach(stage, 500, 10);
    expect(stage.gateway.gauges().deliveryStreams).toBe(15_210);
    expect([bare < 2560, (subscribed - bare) / 10 < 1300]).toEqual([true, true]);
  });
});
