import type { ProducerBatch } from '../../src/partition/producer-window.ts';

/** What a producer says of a batch; without more of ten records, in epoch 0. */
export function from(
  producerId: number,
  baseSequence: number,
  recordCount = 10,
  producerEpoch = 0,
): ProducerBatch {
  return { producerId, producerEpoch, baseSequence, recordCount };
}
