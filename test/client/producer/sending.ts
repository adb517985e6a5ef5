import type { SendResult } from '../../../src/client/producer/outgoing-batch.ts';
import type { Producer } from '../../../src/client/producer/producer.ts';
import { turns } from '../../support/turns.ts';
import type { Arrived, FakeBroker } from '../fake-broker.ts';

/** Longer than a producer waits for more records. */
const LINGER_MS = 5;

/** Sends each value to topic `t` in a batch of its own; gives what becomes of each, for which nobody need wait. */
export async function sendApart(
  broker: FakeBroker,
  producer: Producer,
  values: readonly string[],
): Promise<Promise<SendResult>[]> {
  const sends: Promise<SendResult>[] = [];
  for (const value of values) {
    sends.push(producer.send({ topic: 't', value }));
    sends.at(-1)!.catch(() => undefined);
    broker.clock.advance(LINGER_MS);
    await turns(3);
  }
  return sends;
}

/** The values of each batch. */
export function valuesOf(arrived: readonly Arrived[]): string[] {
  return arrived.map(({ values }) => values.join());
}

/** Producer id and sequence of each batch. */
export function numbersOf(arrived: readonly Arrived[]): (readonly [id: number, sequence: number])[] {
  return arrived.map(({ header }) => [header.producerId, header.baseSequence]);
}
