import { beforeEach, describe, expect, it } from 'vitest';
import { TopicFolders } from '../../src/replicas/topic-folders.ts';
import type { TopicDefinition } from '../../src/coordination/coordinator.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeDisk } from '../support/fake-disk.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { topicSettings } from '../support/topic-settings.ts';
import { turns } from '../support/turns.ts';

const ID = '11111111-2222-3333-4444-555555555555';
const OTHER_ID = '99999999-2222-3333-4444-555555555555';
const TOPIC: TopicDefinition = {
  name: 'orders',
  id: ID,
  partitions: 2,
  createdMs: 0,
  settings: topicSettings({ storage: 'disk', retentionBytes: 0, batchMaxBytes: 1024, tombstoneMs: 0 }),
};
const ASIDE = `/data/topics/${ID}.unknown`;
const failed = expect.objectContaining({ code: 'STORAGE_FAILED' }) as Error;

let clock: FakeClock;
let disk: FakeDisk;
let told: string[];

async function open(clusterId = 'c1', topics: readonly string[] = [ID]): Promise<TopicFolders> {
  return TopicFolders.open({
    ...{ files: disk, clock, random: new SeededRandom(1) },
    directory: '/data/topics',
    clusterId,
    isTopic: (id) => topics.includes(id),
    onLeftover: (folder) => told.push(folder),
    onUnknown: (folder) => told.push(`unknown ${folder}`),
    onPutBack: (folder) => told.push(`back ${folder}`),
    onRemoveFailed: ({ code }) => told.push(code),
  });
}

/** A topic with one log, as it is after a node has run. */
async function used(): Promise<TopicFolders> {
  const folders = await open();
  const directory = await folders.partition(TOPIC, 0, false);
  disk.plant(`${directory}/00000000000000000000.log`, Buffer.from('records'));
  await folders.begun(directory);
  return folders;
}

async function emptyDisk(seed: number): Promise<void> {
  disk = new FakeDisk({ seed });
  await disk.makeDirectory('/data');
  await disk.syncDirectory('/');
}

beforeEach(async () => {
  told = [];
  clock = new FakeClock();
  await emptyDisk(1);
});

describe('folders of topics', () => {
  it('say whose they are, also after a loss of power', async () => {
    for (let seed = 0; seed < 20; seed++) {
      await emptyDisk(seed);
      await open();
      disk = disk.crash();
      expect(disk.peek('/data/topics/cluster')?.toString()).toBe('c1\n');
    }
  });

  it('of another cluster are refused and nothing of them is touched', async () => {
    await used();
    const before = disk.calls.length;
    await expect(open('c2', [])).rejects.toThrow(failed);
    const changes = disk.calls
      .slice(before)
      .filter(({ kind }) => !['makeDirectory', 'list', 'readFile'].includes(kind));
    expect(changes).toEqual([]);
  });

  it('without the file that says whose they are are refused when there are topics', async () => {
    await used();
    disk.plant('/data/topics/cluster', undefined);
    await expect(open('c1', [])).rejects.toThrow(failed);
    expect(disk.names('/data/topics')).toContain(ID);
  });

  it('are begun again when the first start was cut off anywhere', async () => {
    await open();
    const calls = disk.calls.length;
    for (let call = 1; call < calls; call++) {
      await emptyDisk(call);
      disk.stopAt(call);
      await Promise.race([open(), disk.stopped]);
      disk = disk.crash();
      await open();
      expect(disk.names('/data/topics')).toEqual(['cluster']);
    }
  });

  it('name the topic for people', async () => {
    await used();
    expect(JSON.parse(disk.peek(`/data/topics/${ID}/topic.json`)!.toString())).toMatchObject({
      name: 'orders',
    });
  });

  it('of a partition are there after a loss of power', async () => {
    for (let seed = 0; seed < 20; seed++) {
      await emptyDisk(seed);
      await (await open()).partition(TOPIC, 1, false);
      disk = disk.crash();
      expect(disk.names(`/data/topics/${ID}`)).toContain('1');
    }
  });

  it('that had a log and have none now are refused instead of begun anew', async () => {
    const folders = await used();
    disk.plant(`/data/topics/${ID}/0/00000000000000000000.log`, undefined);
    await expect(folders.partition(TOPIC, 0, true)).rejects.toThrow(failed);
  });

  it('that are gone altogether are refused instead of begun anew', async () => {
    const folders = await open();
    await expect(folders.partition(TOPIC, 0, true)).rejects.toThrow(failed);
  });
});

describe('a deleted topic', () => {
  it('goes with all it had', async () => {
    const folders = await used();
    await folders.remove(ID);
    await folders.settled();
    expect(disk.names('/data/topics')).toEqual(['cluster']);
  });

  it('that never had a folder is no error', async () => {
    const folders = await open();
    await folders.remove(ID);
    expect(disk.names('/data/topics')).toEqual(['cluster']);
  });

  it('goes at the next start when the node ended anywhere in between', async () => {
    await used();
    const first = disk.calls.length;
    const folders = await open();
    await folders.remove(ID);
    await folders.settled();
    const last = disk.calls.length;
    for (let call = first; call < last; call++) {
      await emptyDisk(call);
      await used();
      disk.stopAt(call);
      const removal = open().then(async (one) => {
        await one.remove(ID);
        await one.settled();
      });
      await Promise.race([removal, disk.stopped]);
      disk = disk.crash();
      await (await open('c1', [])).settled();
      // Or it is put aside, where it is not known that it was deleted.
      const left = disk.names('/data/topics').filter((name) => !name.endsWith('.unknown'));
      expect(left, `call ${call}`).toEqual(['cluster']);
    }
    expect(disk.names('/data/topics')).toEqual(['cluster']);
  });

  it('takes no other with it', async () => {
    await used();
    await disk.makeDirectory(`/data/topics/${OTHER_ID}.deleted`);
    await disk.makeDirectory('/data/topics/lost+found');
    await (await open()).settled();
    expect(disk.names('/data/topics')).toEqual([ID, 'cluster', 'lost+found']);
    expect(told).toEqual([`/data/topics/${OTHER_ID}.deleted`]);
  });

  it('that cannot be removed is told of and does not stop the others', async () => {
    await used();
    await disk.makeDirectory(`/data/topics/${OTHER_ID}.deleted`);
    disk.fail({ kinds: ['removeDirectory'], code: 'EACCES' });
    await (await open('c1', [])).settled();
    expect(told).toEqual([`/data/topics/${OTHER_ID}.deleted`, 'STORAGE_FAILED', `unknown ${ASIDE}`]);
  });
});

describe('a partition that others have', () => {
  it('goes, and its topic stays with the others', async () => {
    const folders = await used();
    const other = await folders.partition(TOPIC, 1, false);
    disk.plant(`${other}/00000000000000000000.log`, Buffer.from('other'));
    await folders.removePartition(ID, 0);
    await folders.settled();
    expect(disk.names(`/data/topics/${ID}`)).toEqual(['1', 'topic.json']);
    expect([await folders.hasLog(ID, 0), await folders.hasLog(ID, 1)]).toEqual([false, true]);
  });

  it('that never had a folder is no error', async () => {
    const folders = await used();
    await folders.removePartition(ID, 1);
    await folders.removePartition(OTHER_ID, 0);
    expect(disk.names(`/data/topics/${ID}`)).toEqual(['0', 'topic.json']);
  });

  it('is there as a whole or not at all when the node ended anywhere in between', async () => {
    await (await used()).removePartition(ID, 0);
    const last = disk.calls.length + 5;
    let isGone = false;
    for (let call = 0; call < last; call++) {
      await emptyDisk(call);
      const folders = await used();
      disk.stopAt(disk.calls.length + call);
      const removing = folders.removePartition(ID, 0).then(() => folders.settled());
      await Promise.race([removing, disk.stopped]);
      disk = disk.kill();
      const next = await open();
      await next.settled();
      isGone = !(await next.hasLog(ID, 0));
      const files = isGone ? [] : ['00000000000000000000.log'];
      expect(disk.names(`/data/topics/${ID}/0`), `call ${call}`).toEqual(files);
      expect(disk.names(`/data/topics/${ID}`), `call ${call}`).not.toContain('0.deleted');
    }
    expect(isGone).toBe(true);
  });

  it('can be begun anew at once, and be removed again', async () => {
    const folders = await used();
    for (let round = 0; round < 2; round++) {
      await folders.removePartition(ID, 0);
      const directory = await folders.partition(TOPIC, 0, false);
      disk.plant(`${directory}/00000000000000000000.log`, Buffer.from('anew'));
    }
    await folders.settled();
    expect(disk.peek(`/data/topics/${ID}/0/00000000000000000000.log`)?.toString()).toBe('anew');
    expect(disk.names(`/data/topics/${ID}`)).toEqual(['0', 'topic.json']);
  });

  it('is tried again when it could not be removed, and told of once', async () => {
    await used();
    const leftovers = [`/data/topics/${ID}/1.deleted`, `/data/topics/${OTHER_ID}.deleted`];
    for (const leftover of leftovers) await disk.makeDirectory(leftover);
    const undo = disk.fail({ kinds: ['removeDirectory'], code: 'EBUSY' });
    await (await open()).settled();
    clock.advance(60_000);
    await turns(20);
    expect(told.filter((text) => text === 'STORAGE_FAILED')).toHaveLength(2);
    undo();
    clock.advance(60_000);
    await turns(20);
    expect(disk.names('/data/topics')).toEqual([ID, 'cluster']);
    expect(disk.names(`/data/topics/${ID}`)).toEqual(['0', 'topic.json']);
  });

  it('that cannot be looked for does not keep the node from starting', async () => {
    await used();
    disk.fail({ kinds: ['list'], path: new RegExp(ID), code: 'EIO' });
    await open();
    expect(told).toEqual(['STORAGE_FAILED']);
  });
});

describe('a topic that nobody knows', () => {
  const segment = `${ASIDE}/0/00000000000000000000.log`;

  it('is put aside with all its records, whatever happens meanwhile, and stays there', async () => {
    await used();
    const first = disk.calls.length;
    await open('c1', []);
    const total = disk.calls.length - first;
    for (let call = 0; call <= total; call++) {
      await emptyDisk(call);
      await used();
      disk.stopAt(disk.calls.length + call);
      await Promise.race([open('c1', []), disk.stopped]);
      disk = disk.kill();
      for (let start = 0; start < 2; start++) await (await open('c1', [])).settled();
      expect(disk.names('/data/topics'), `call ${call}`).toEqual([`${ID}.unknown`, 'cluster']);
      expect(disk.peek(segment)?.toString()).toBe('records');
    }
  });

  it('is told of once', async () => {
    await used();
    for (let start = 0; start < 3; start++) await open('c1', []);
    expect(told).toEqual([`unknown ${ASIDE}`]);
  });

  it('is put back when it is known again', async () => {
    await used();
    await open('c1', []);
    const folders = await open('c1', [ID]);
    expect(told).toEqual([`unknown ${ASIDE}`, `back /data/topics/${ID}`]);
    expect(await folders.partition(TOPIC, 0, true)).toBe(`/data/topics/${ID}/0`);
    disk = disk.crash();
    expect(disk.peek(`/data/topics/${ID}/0/00000000000000000000.log`)?.toString()).toBe('records');
  });

  it('is not put in the place of what has that name by now', async () => {
    await used();
    await open('c1', []);
    await (await open('c1', [])).partition(TOPIC, 1, false);
    await open('c1', [ID]);
    expect(disk.names(`/data/topics/${ID}`)).toContain('1');
    expect(disk.peek(segment)?.toString()).toBe('records');
  });

  it('that cannot be put aside is told of and stays where it is', async () => {
    await used();
    disk.fail({ kinds: ['rename'], code: 'EACCES' });
    await open('c1', []);
    expect(told).toEqual(['STORAGE_FAILED']);
    expect(disk.names('/data/topics')).toContain(ID);
  });
});
