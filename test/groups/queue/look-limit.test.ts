import { expect, it } from 'vitest';
import { RecordBatchEncoder } from '../../../src/wire/record-batch-encoder.ts';
import { FakeTopics } from './fake-topics.ts';
import { QueueStage } from './queue-stage.ts';

it('looks in one turn through no more than 4 MiB and a batch, inflated, however small they are stored', async () => {
  const topics = new FakeTopics().make('jobs');
  const encoder = new RecordBatchEncoder();
  for (let batches = 0; batches < 3; batches++) {
    encoder.append(null, Buffer.alloc(3_000_000), [], 1);
    topics.log('jobs').append(encoder.finish({ codec: 'zstd' }));
  }
  const stage = new QueueStage(topics);
  const offsets = async (): Promise<number[]> => (await stage.receive()).jobs.map(({ offset }) => offset);
  expect(await offsets()).toEqual([0, 1]);
  expect(await offsets()).toEqual([2]);
});
