import { describe, expect, it } from 'vitest';
import { StateWriter } from '../../src/groups/state-writer.ts';
import { turns } from '../support/turns.ts';
import { FakeStateLog } from './queue/fake-log.ts';
import { codeOf } from './queue/queue-stage.ts';

const record = (key: string): { key: string; value: Buffer } => ({ key, value: Buffer.from(key) });

describe('what stores the changes of groups and queues', () => {
  it('makes one append of what changed in a turn, the last word of each', async () => {
    const log = new FakeStateLog();
    const writer = new StateWriter(log, () => undefined);
    let changes = 0;
    const changing = { changes: () => [record(`c${++changes}`)] };
    writer.note(changing);
    writer.put([record('p')]);
    writer.note(changing);
    await writer.stored();
    expect([log.appends, log.records.map(({ key }) => key)]).toEqual([1, ['p', 'c1']]);
  });

  it('says that something is stored when all before it is, also where nothing changed', async () => {
    const log = new FakeStateLog();
    const writer = new StateWriter(log, () => undefined);
    log.isHeld = true;
    writer.put([record('a')]);
    await turns();
    let stored = false;
    const waiting = writer.stored().finally(() => (stored = true));
    await turns();
    expect(stored).toBe(false);
    log.release();
    await waiting;
    expect(log.appends).toBe(1);
  });

  it('says that something is stored when all before it is, in whatever order the log answers', async () => {
    let answerFirst: () => void = () => undefined;
    const answers = [new Promise<void>((resolve) => (answerFirst = resolve)), Promise.resolve()];
    const log = { partition: 0, leaderEpoch: 1, append: () => answers.shift()! };
    const writer = new StateWriter(log, () => undefined);
    writer.put([record('a')]);
    await turns();
    let stored = false;
    writer.put([record('b')]);
    const waiting = writer.stored().finally(() => (stored = true));
    await turns();
    expect(stored).toBe(false);
    answerFirst();
    await waiting;
  });

  it('gathers while four appends are under way', async () => {
    const log = new FakeStateLog();
    const writer = new StateWriter(log, () => undefined);
    log.isHeld = true;
    for (let i = 0; i < 10; i++) {
      writer.put([record(String(i))]);
      await turns(1);
    }
    expect(log.appends).toBe(4);
    log.release();
    await writer.stored();
    expect([log.appends, log.records.length]).toEqual([5, 10]);
  });

  it('ends with the first failure, and says so once', async () => {
    const log = new FakeStateLog();
    const failures: unknown[] = [];
    const writer = new StateWriter(log, (error) => failures.push(error));
    log.failure = new Error('gone');
    const waiting = [codeOf(writer.stored()), codeOf(writer.stored())];
    writer.put([record('a')]);
    await turns();
    writer.put([record('b')]);
    expect(await Promise.all([...waiting, codeOf(writer.stored())])).toEqual([
      'NOT_LEADER',
      'NOT_LEADER',
      'NOT_LEADER',
    ]);
    expect([failures, log.appends]).toEqual([[log.failure], 1]);
  });

  it('does not say of what may be stored that it is not, where that is asked for', async () => {
    const log = new FakeStateLog();
    const writer = new StateWriter(log, () => undefined);
    log.isHeld = true;
    writer.put([record('a')]);
    const begun = [codeOf(writer.stored('UNAVAILABLE')), codeOf(writer.stored())];
    await turns();
    writer.put([record('b')]);
    const waiting = codeOf(writer.stored('UNAVAILABLE'));
    writer.close();
    expect(await Promise.all([...begun, waiting])).toEqual(['UNAVAILABLE', 'NOT_LEADER', 'NOT_LEADER']);
  });

  it('stores nothing more of what is forgotten', async () => {
    const log = new FakeStateLog();
    const writer = new StateWriter(log, () => undefined);
    const changing = { changes: () => [record('c')] };
    writer.note(changing);
    writer.forget(changing);
    await writer.stored();
    expect(log.records).toEqual([]);
  });
});
