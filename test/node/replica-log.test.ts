import { expect, it } from 'vitest';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { replicaObserver } from '../../src/node/replica-log.ts';
import { EventLog } from './event-log.ts';

it('how replicas fare is in the log, what is part of every start and change only for who looks closely', () => {
  const log = new EventLog();
  const observer = replicaObserver(log);
  const topic = { name: 'orders', id: 't1', settings: { storage: 'disk' } } as TopicDefinition;
  const inMemory = { ...topic, settings: { storage: 'memory' } } as TopicDefinition;
  const place = { topic, partition: 3 };
  const error = new SluiceError('STORAGE_FAILED', 'broken');
  observer.onRole(place, 'follower', 4);
  observer.onFailed(place, error);
  observer.onRecovered(place);
  observer.onLost(place);
  observer.onLost({ topic: inMemory, partition: 3 });
  observer.onTruncated(place, 9, 7);
  observer.onReset(place, 9, 20);
  observer.onReset(place, 0, 20);
  observer.onPaused(place, 'STORAGE_FULL');
  observer.onPaused(place, 'NOT_LEADER');
  observer.onRemoveFailed(topic, 3, error);
  observer.onUnreachable('b', error);
  observer.onReached('b');
  const fields = { topic: 'orders', topicId: 't1', partition: 3 };
  expect(log.written).toEqual([
    { level: 'debug', evt: 'replica.role', fields: { ...fields, role: 'follower', leaderEpoch: 4 } },
    { level: 'error', evt: 'replica.failed', fields: { ...fields, error } },
    { level: 'info', evt: 'replica.recovered', fields },
    { level: 'warn', evt: 'replica.data_lost', fields },
    { level: 'info', evt: 'replica.data_lost', fields },
    { level: 'info', evt: 'replica.truncated', fields: { ...fields, from: 9, to: 7 } },
    { level: 'warn', evt: 'replica.reset', fields: { ...fields, from: 9, to: 20 } },
    { level: 'debug', evt: 'replica.reset', fields: { ...fields, from: 0, to: 20 } },
    { level: 'warn', evt: 'replica.paused', fields: { ...fields, code: 'STORAGE_FULL' } },
    { level: 'debug', evt: 'replica.paused', fields: { ...fields, code: 'NOT_LEADER' } },
    { level: 'error', evt: 'replica.remove_failed', fields: { ...fields, error } },
    { level: 'info', evt: 'replica.leader_unreachable', fields: { leader: 'b', error } },
    { level: 'info', evt: 'replica.leader_reached', fields: { leader: 'b' } },
  ]);
});
