import { expect, it } from 'vitest';
import type { ErrorCode } from '../../src/kernel/errors.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { coordinatorObserver } from '../../src/node/coordinator-log.ts';
import { EventLog } from './event-log.ts';

it('how coordinators fare is in the log, what is part of every change of leaders only for who looks closely', () => {
  const log = new EventLog();
  const observer = coordinatorObserver(log);
  const error = (code: ErrorCode): SluiceError => new SluiceError(code, 'broken');
  const about = { work: 'dead-letters', topic: 't', group: 'g', partition: 1 } as const;
  observer.onLoaded(3, 7, 10, 1.4);
  observer.onLoaded(3, 7, 0, 1);
  for (const code of ['STORAGE_FULL', 'NOT_LEADER'] as const) observer.onFailed(3, 7, error(code));
  for (const code of ['INTERNAL', 'FORBIDDEN', 'NOT_LEADER'] as const)
    observer.onTrouble({ ...about, error: error(code) });
  expect(log.written.map(({ level, evt }) => `${level} ${evt}`)).toEqual([
    'info groups.coordinating',
    'debug groups.coordinating',
    'error groups.coordinator_failed',
    'info groups.coordinator_failed',
    'error queues.work_failed',
    'warn queues.work_failed',
    'debug queues.work_failed',
  ]);
  expect(log.written.at(-1)?.fields).toMatchObject({ ...about, error: { code: 'NOT_LEADER' } });
});
