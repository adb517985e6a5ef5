import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { ReceiveRequestSchema } from '../../../src/gen/sluice/client/v1/groups_pb.ts';
import { QueueStage } from './queue-stage.ts';

it('an answer says how long its question waited, so that the asker knows when its leases began', async () => {
  const stage = new QueueStage();
  const question = create(ReceiveRequestSchema, { topic: 'jobs', maxRecords: 10, maxWaitMs: 5000 });
  const late = stage.ask('receive', question);
  await stage.pass(1200);
  stage.topics.put('jobs', 3);
  expect((await late).waitedMs).toBe(1200);
  stage.topics.put('jobs', 3);
  expect((await stage.ask('receive', question)).waitedMs).toBe(0);
});
