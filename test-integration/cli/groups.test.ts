import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GroupDescription } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import type { Finished, Running } from './sluice.ts';
import { jsonLines, ServedPlace } from './sluice.ts';

let place: ServedPlace;
beforeAll(async () => {
  place = await ServedPlace.open();
});
afterAll(() => place.leave());

/** Runs a command that has nothing to complain of. */
const sluice = (...argv: string[]): Promise<string> => place.sluice(...argv);

async function publish(topic: string, ...values: string[]): Promise<void> {
  await sluice('pub', topic, ...values, '--quiet');
}

const WITHIN = ['--timeout', '60s'];

/** What a member of a group prints until it has `count` records. */
function read(topic: string, group: string, count: number, ...more: string[]): Promise<string> {
  return sluice('sub', topic, '--group', group, '--quiet', '--count', `${count}`, ...WITHIN, ...more);
}

async function describeGroup(group: string): Promise<GroupDescription> {
  return JSON.parse(await sluice('group', 'describe', group, '-o', 'json')) as GroupDescription;
}

describe('sluice sub --group', () => {
  it('goes on after what the group has printed before', async () => {
    await publish('orders', 'a', 'b');
    expect(await read('orders', 'billing', 2, '--from', 'earliest')).toBe('a\nb\n');
    await publish('orders', 'c');
    expect(await read('orders', 'billing', 1, '--from', 'earliest')).toBe('c\n');
  });

  it('commits what it has printed of a batch, and no more', async () => {
    await publish('halves', 'a', 'b', 'c');
    expect(await read('halves', 'h', 1, '--from', 'earliest')).toBe('a\n');
    expect(await describeGroup('h')).toMatchObject({ offsets: [{ committed: 1, end: 3 }], lag: 2 });
    expect(await read('halves', 'h', 2)).toBe('b\nc\n');
  });

  it('begins in a new group where it is told to: by default at the end', async () => {
    await publish('beginnings', 'old', 'middle');
    expect(await read('beginnings', 'from-1', 1, '--from', '1')).toBe('middle\n');
    const waiting = place.start(['sub', 'beginnings', '--group', 'end', '--count', '1', ...place.server]);
    await member(waiting, 'beginnings/0');
    await publish('beginnings', 'new');
    expect(await waiting.finished).toMatchObject({ exitCode: 0, stdout: 'new\n' });
  });

  it('shares the partitions with the other members, and takes over those of one that leaves', async () => {
    await sluice('topic', 'create', 'shared', '--partitions', '2');
    const argv = ['sub', 'shared', '--group', 'team', '-o', 'json', ...place.server];
    const members = [place.start(argv), place.start(argv)] as const;
    await eventually('each has a partition', async () => {
      const run = await place.run(['group', 'describe', 'team', '-o', 'json', ...place.server]);
      if (run.exitCode !== 0) return false;
      const { state, members: known } = JSON.parse(run.stdout) as GroupDescription;
      return `${state} ${known.map(({ assigned }) => assigned.length).join()}` === 'stable 1,1';
    });
    for (const partition of ['0', '1'])
      await sluice('pub', 'shared', 'x', '--quiet', '--partition', partition);
    await Promise.all(members.map((one) => one.until(/\n/)));
    members[0].child.kill('SIGINT');
    const first = await members[0].finished;
    expect(first.exitCode).toBe(130);
    const [gone] = jsonLines<{ partition: number }>(first.stdout);
    await sluice('pub', 'shared', 'y', '--quiet', '--partition', `${gone!.partition}`);
    await members[1].until(/"y"/);
    members[1].child.kill('SIGINT');
    const second = await members[1].finished;
    const all = [first, second].flatMap(({ stdout }) =>
      jsonLines<{ partition: number; value: string }>(stdout),
    );
    expect(all.map(({ partition, value }) => `${value} of ${partition}`).sort()).toEqual(
      ['x of 0', 'x of 1', `y of ${gone!.partition}`].sort(),
    );
    expect(await describeGroup('team')).toMatchObject({ state: 'empty', members: [], lag: 0 });
  });

  it('says on stderr what it reads, and when no partition is left for it', async () => {
    await sluice('topic', 'create', 'single');
    const argv = ['sub', 'single', '--group', 'two', ...place.server];
    const busy = place.start(argv);
    await member(busy, 'single/0');
    const idle = place.start(argv);
    await says(idle, /^sluice: member of two; no partition is left for it: the others have them all\n$/);
    busy.child.kill('SIGTERM');
    await member(idle, 'single/0');
    idle.child.kill('SIGINT');
    expect([(await busy.finished).exitCode, (await idle.finished).exitCode]).toEqual([143, 130]);
  });

  it('does not commit what nobody has read', async () => {
    const value = 'x'.repeat(900 * 1024);
    expect((await place.run(['pub', 'piped', '--quiet', ...place.server], value)).exitCode).toBe(0);
    const argv = ['sub', 'piped', '--group', 'gone', '--from', 'earliest', '--quiet', ...place.server];
    const running = place.start(argv);
    await running.until(/x/);
    running.child.stdout!.destroy();
    expect(await running.finished).toMatchObject({ exitCode: 0, stderr: '' });
    expect(running.stdout.length).toBeLessThan(value.length);
    expect(await describeGroup('gone')).toMatchObject({ lag: 1 });
  });

  it('is a TIMEOUT when fewer records come than were asked for', async () => {
    await publish('scarce', 'one');
    const argv = ['sub', 'scarce', '--group', 's', '--from', 'earliest', '--quiet', '--count', '2'];
    const run = await place.run([...argv, '--timeout', '2s', ...place.server]);
    expect(run).toMatchObject({ exitCode: 6, stdout: 'one\n' });
    expect(run.stderr).toMatch(/^sluice: TIMEOUT: 1 of 2 records [^\n]+\n$/);
  });

  it('says that it created the topic', async () => {
    const running = place.start(['sub', 'unheard', '--group', 'u', ...place.server]);
    await says(running, /there was no topic unheard; it was created/);
    running.child.kill('SIGINT');
    await running.finished;
  });
});

describe('sluice group', () => {
  it('lists and describes groups', async () => {
    await publish('listed', 'a');
    await read('listed', 'readers', 1, '--from', 'earliest');
    expect(await sluice('group', 'list')).toMatch(/^GROUP +STATE +MEMBERS +TOPICS +COORDINATOR\n/);
    expect(JSON.parse(await sluice('group', 'list', '-o', 'json'))).toContainEqual(
      expect.objectContaining({ group: 'readers', state: 'empty', topics: ['listed'] }),
    );
    expect(await sluice('group', 'describe', 'readers')).toMatch(/\nlisted\/0 +1 +1 +0 +- +20\S+Z\n$/);
  });

  it('sets where a group goes on, once it has no members', async () => {
    await publish('again', 'a', 'b', 'c');
    const reading = place.start(['sub', 'again', '--group', 'r', '--from', 'earliest', ...place.server]);
    await reading.until(/c\n/);
    const reset = ['group', 'reset', 'r', 'again', '--to', '1', '-o', 'json'];
    const refused = await place.run([...reset, ...place.server]);
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^sluice: GROUP_NOT_EMPTY: [^\n]+ sluice group describe GROUP\n$/);
    reading.child.kill('SIGINT');
    await reading.finished;
    expect(JSON.parse(await sluice(...reset))).toEqual([{ topic: 'again', partition: 0, offset: 1 }]);
    expect(await read('again', 'r', 2)).toBe('b\nc\n');
    expect(await sluice('group', 'reset', 'r', 'again', '--to', 'earliest')).toMatch(/\n +0 +0\n$/);
  });

  it('forgets groups', async () => {
    await publish('forgotten', 'a');
    for (const group of ['f1', 'f2']) await read('forgotten', group, 1, '--from', 'earliest');
    expect(await sluice('group', 'delete', 'f1', 'f2')).toBe('deleted f1, f2\n');
    const runs = await Promise.all([
      absent('describe', 'f1'),
      absent('delete', 'f1'),
      absent('reset', 'f1', 'forgotten', '--to', '0'),
    ]);
    for (const run of runs) {
      expect(run).toMatchObject({ exitCode: 5, stdout: '' });
      expect(run.stderr).toMatch(/^sluice: GROUP_NOT_FOUND: [^\n]+ sluice group list\n$/);
    }
  });
});

function absent(...argv: string[]): Promise<Finished> {
  return place.run(['group', ...argv, ...place.server]);
}

/** Resolves when it says that it reads a partition. */
async function member(running: Running, partition: string): Promise<void> {
  await says(running, new RegExp(`now reads ${partition}\n`));
}

async function says(running: Running, pattern: RegExp): Promise<void> {
  await eventually(`it says ${pattern}`, () => Promise.resolve(pattern.test(running.stderr)));
}
