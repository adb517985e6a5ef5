import { expect, it } from 'vitest';
import type { PlannedUpdate } from '../../src/controller/plan-input.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { controllerObserver } from '../../src/node/controller-log.ts';
import { EventLog } from './event-log.ts';

const UPDATE: PlannedUpdate = {
  ...{ key: 't1/3', topicId: 't1', partition: 3, expectedRevision: 4, reason: 'elected' },
  state: { replicas: ['a', 'b'], leader: 'b', leaderEpoch: 2, isr: ['b'] },
};

it('what a controller does is in the log', () => {
  const log = new EventLog();
  const observer = controllerObserver(log, (id) => (id === 't1' ? 'orders' : undefined));
  const broken = new SluiceError('UNAVAILABLE', 'gone');
  observer.onElected(9);
  observer.onChanged(UPDATE);
  observer.onFailed(UPDATE, broken);
  observer.onFailed(undefined, broken);
  observer.onRebalanced();
  observer.onLost();
  const place = { topic: 'orders', topicId: 't1', partition: 3 };
  const state = { leader: 'b', replicas: ['a', 'b'], isr: ['b'] };
  expect(log.written).toEqual([
    { level: 'info', evt: 'controller.elected', fields: { term: 9 } },
    { level: 'info', evt: 'controller.changed', fields: { ...place, ...state, reason: 'elected' } },
    { level: 'warn', evt: 'controller.failed', fields: { ...place, reason: 'elected', error: broken } },
    { level: 'warn', evt: 'controller.failed', fields: { error: broken } },
    { level: 'info', evt: 'controller.rebalanced', fields: {} },
    { level: 'info', evt: 'controller.lost', fields: {} },
  ]);
});
