import { expect, it } from 'vitest';
import { Journal } from '../../../src/groups/consumer/journal.ts';
import { codeOf, isSettled } from './stage.ts';
import { FakeStatePartition } from './fake-state-log.ts';

it('takes nothing for stored before all that came earlier is', async () => {
  const [slow, fast] = [Promise.withResolvers<undefined>(), Promise.resolve()];
  const answers = [slow.promise, fast];
  const journal = new Journal(
    { partition: 0, leaderEpoch: 1, append: () => answers.shift()! },
    () => undefined,
  );
  const first = journal.append([]);
  const second = journal.append([]);
  expect(await isSettled(second)).toBe(false);
  slow.resolve(undefined);
  await Promise.all([first, second]);
});

it('stores nothing after something could not be stored, and says so once', async () => {
  const log = new FakeStatePartition().lead();
  log.isHeld = true;
  const failures: unknown[] = [];
  const journal = new Journal(log, (error) => failures.push(error));
  const first = codeOf(journal.append([]));
  const second = codeOf(journal.append([]));
  log.fail(true);
  expect([await first, await second]).toEqual(['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS']);
  expect(await codeOf(journal.append([]))).toBe('NOT_LEADER');
  expect([failures.length, log.appends]).toEqual([1, 2]);
});
