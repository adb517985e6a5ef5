import { beforeEach, describe, expect, it } from 'vitest';
import type { OpenFile } from '../../src/log/disk/file-system.ts';
import { FakeDisk } from './fake-disk.ts';
import { SeededRandom } from './seeded-random.ts';
import { turns } from './turns.ts';

const RUNS = 200;
const fill = (byte: number, length: number): Buffer => Buffer.alloc(length, byte);

let disk: FakeDisk;
beforeEach(async () => {
  disk = new FakeDisk();
  await disk.makeDirectory('/data/log');
  await disk.syncDirectory('/');
  await disk.syncDirectory('/data');
});

/** A file with a durable name. */
async function made(name: string, content: Buffer, durableWrites = false): Promise<OpenFile> {
  const file = await disk.open(name, { create: true, durableWrites });
  await file.write([content], 0);
  await file.sync();
  await disk.syncDirectory('/data/log');
  return file;
}

/** What is found after each of many power losses: the whole content of a file as text of its distinct bytes, or nothing. */
function found(path: string, seen: (bytes: Buffer | undefined) => string): Set<string> {
  return new Set(
    Array.from({ length: RUNS }, (_, seed) => seen(disk.crash(new SeededRandom(seed)).peek(path))),
  );
}
const runsOf = (bytes: Buffer | undefined): string =>
  bytes === undefined ? 'none' : bytes.toString('latin1').replaceAll(/(.)\1*/gs, '$1');

describe('after a power loss', () => {
  it('what was synced is there', async () => {
    await made('/data/log/a', fill(65, 3000));
    expect(found('/data/log/a', (bytes) => `${bytes?.length} ${runsOf(bytes)}`)).toEqual(new Set(['3000 A']));
  });

  it('what was not synced may be lost, kept, kept in part and out of order', async () => {
    const file = await made('/data/log/a', fill(65, 2048));
    await file.write([fill(66, 2048)], 0);
    const outcomes = found('/data/log/a', runsOf);
    for (const outcome of ['A', 'B', 'BA', 'AB', 'ABA', 'BAB']) expect(outcomes).toContain(outcome);
  });

  it('a file can have grown without its bytes, and the other way round', async () => {
    const file = await made('/data/log/a', fill(65, 512));
    await file.write([fill(66, 1024)], 512);
    const outcomes = found('/data/log/a', runsOf);
    for (const outcome of ['A', 'AB', 'A\0', 'A\0B', 'AB\0']) expect(outcomes).toContain(outcome);
  });

  it('a durable write is there when it came back, whatever else is not', async () => {
    await (await made('/data/log/a', fill(65, 1024))).write([fill(66, 512)], 0);
    const file = await disk.open('/data/log/a', { durableWrites: true });
    await file.write([fill(67, 512)], 512);
    expect(found('/data/log/a', runsOf)).toEqual(new Set(['AC', 'BC']));
  });

  it('a name is lost or kept until its directory is synced', async () => {
    const file = await disk.open('/data/log/a', { create: true });
    await file.write([fill(65, 10)], 0);
    await file.sync();
    expect(found('/data/log/a', runsOf)).toEqual(new Set(['none', 'A']));
  });

  it('names are lost independently of each other, and a rename is never half done', async () => {
    await made('/data/log/a', fill(65, 1));
    await made('/data/log/b.new', fill(66, 1));
    await disk.removeFile('/data/log/a');
    await disk.rename('/data/log/b.new', '/data/log/b');
    const outcomes = new Set(
      Array.from({ length: RUNS }, (_, seed) =>
        disk.crash(new SeededRandom(seed)).names('/data/log').join(' '),
      ),
    );
    expect(outcomes).toEqual(new Set(['a b.new', 'a b', 'b.new', 'b']));
  });

  it('what was cut off does not come back after the cut is durable', async () => {
    const file = await made('/data/log/a', fill(65, 1024));
    await file.truncate(512);
    await file.sync();
    await file.write([fill(66, 512)], 512);
    expect(found('/data/log/a', runsOf)).toEqual(new Set(['A', 'AB', 'A\0']));
  });

  it('what was cut off does not come back once the size of the file is known', async () => {
    await (await made('/data/log/a', fill(65, 1024))).truncate(512);
    const file = await disk.open('/data/log/a', { durableWrites: true });
    await file.write([fill(66, 512)], 1024);
    expect(found('/data/log/a', runsOf)).toEqual(new Set(['A\0B']));
  });

  it('a cut that is lost takes what was written behind it along', async () => {
    const file = await made('/data/log/a', fill(65, 1024));
    await file.truncate(512);
    await file.write([fill(66, 100)], 512);
    const outcomes = found('/data/log/a', (bytes) => `${bytes?.length} ${runsOf(bytes)}`);
    expect(outcomes).toEqual(new Set(['1024 A', '512 A', '612 A\0', '612 AB']));
  });

  it('a cut that is not durable may be undone', async () => {
    const file = await made('/data/log/a', fill(65, 1024));
    await file.truncate(512);
    expect(found('/data/log/a', (bytes) => String(bytes?.length))).toEqual(new Set(['512', '1024']));
  });

  it('a removed directory may be there in part', async () => {
    await made('/data/log/a', fill(65, 1));
    await made('/data/log/b', fill(65, 1));
    await disk.removeDirectory('/data/log');
    const outcomes = new Set(
      Array.from({ length: RUNS }, (_, seed) => {
        const after = disk.crash(new SeededRandom(seed));
        return `${after.names('/data').join()}:${after.names('/data/log').join()}`;
      }),
    );
    expect(outcomes).toEqual(new Set([':', 'log:', 'log:a', 'log:b', 'log:a,b']));
  });

  it('is the same for the same seed', async () => {
    const file = await made('/data/log/a', fill(65, 8192));
    await file.write([fill(66, 8192)], 0);
    const [one, other] = [3, 3].map((seed) => disk.crash(new SeededRandom(seed)).peek('/data/log/a'));
    expect(one).toEqual(other);
  });
});

describe('after a failed sync', () => {
  it('a later one does not make durable what the failed one left', async () => {
    const file = await made('/data/log/a', fill(65, 512));
    await file.write([fill(66, 512)], 0);
    disk.fail({ code: 'EIO', kinds: ['sync'], times: 1 });
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
    await file.sync();
    expect(runsOf(disk.peek('/data/log/a'))).toBe('B');
    expect(found('/data/log/a', runsOf)).toEqual(new Set(['A', 'B']));
  });

  it('a sync of what is written again makes that durable', async () => {
    const file = await made('/data/log/a', fill(65, 512));
    disk.fail({ code: 'EIO', kinds: ['sync'], times: 1 });
    await file.write([fill(66, 512)], 0);
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
    await file.write([fill(67, 512)], 0);
    await file.sync();
    expect(found('/data/log/a', runsOf)).toEqual(new Set(['C']));
  });

  it('reads can see the old bytes when the system drops its caches', async () => {
    const file = await made('/data/log/a', fill(65, 512));
    await file.write([fill(66, 512)], 0);
    disk.fail({ code: 'EIO', kinds: ['sync'], times: 1 });
    await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
    disk.dropCaches();
    expect(runsOf(disk.peek('/data/log/a'))).toBe('A');
  });
});

describe('a process that ends', () => {
  it('leaves what it wrote to the next one, and that is no more durable than before', async () => {
    const file = await made('/data/log/a', fill(65, 512));
    await file.write([fill(66, 512)], 0);
    disk = disk.kill();
    expect(runsOf(disk.peek('/data/log/a'))).toBe('B');
    expect(found('/data/log/a', runsOf)).toEqual(new Set(['A', 'B']));
  });

  it('stops at the call it is told to, in the middle of a write', async () => {
    const file = await made('/data/log/a', fill(65, 4));
    disk.stopAt(disk.calls.length, 3);
    void file.write([fill(66, 4)], 0);
    await disk.stopped;
    expect(disk.kill().peek('/data/log/a')!.toString()).toBe('BBBA');
  });

  it('gets no answer to any call after that', async () => {
    disk.stop();
    const answers: unknown[] = [];
    disk.list('/').then(
      () => answers.push('list'),
      () => answers.push('error'),
    );
    await turns();
    expect(answers).toEqual([]);
  });
});

describe('a disk that fails', () => {
  it('is full at its last byte, and not once there is room', async () => {
    const file = await made('/data/log/a', fill(65, 100));
    disk.capacityBytes = 150;
    await expect(file.write([fill(66, 100)], 100)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(disk.peek('/data/log/a')).toHaveLength(150);
    disk.capacityBytes = 200;
    await file.write([fill(66, 100)], 100);
    expect(disk.peek('/data/log/a')).toHaveLength(200);
  });

  it('fails the calls it is told to, and no others', async () => {
    const file = await made('/data/log/a', fill(65, 4));
    disk.fail({ code: 'EIO', kinds: ['write'], path: /log\/a$/, after: 1, times: 1 });
    await file.write([fill(66, 4)], 0);
    await expect(file.write([fill(67, 4)], 0)).rejects.toMatchObject({ code: 'EIO' });
    await file.write([fill(68, 4)], 0);
    expect(runsOf(disk.peek('/data/log/a'))).toBe('D');
  });

  it('refuses every change and goes on reading when it is read-only, until that is undone', async () => {
    const file = await made('/data/log/a', fill(65, 4));
    const undo = disk.fail({ code: 'EROFS' });
    await expect(disk.open('/data/log/b', { create: true })).rejects.toMatchObject({ code: 'EROFS' });
    await expect(file.truncate(0)).rejects.toMatchObject({ code: 'EROFS' });
    expect(await file.read(Buffer.alloc(4), 0)).toBe(4);
    undo();
    await disk.removeFile('/data/log/a');
    expect(disk.names('/data/log')).toEqual([]);
  });

  it('is as slow as the test says', async () => {
    const file = await made('/data/log/a', fill(65, 4));
    const release = disk.hold(['write']);
    const written = file.write([fill(66, 4)], 0);
    await turns();
    expect(runsOf(disk.peek('/data/log/a'))).toBe('A');
    release();
    await written;
    expect(runsOf(disk.peek('/data/log/a'))).toBe('B');
  });

  it('does not take two writes of one file at once', async () => {
    const file = await made('/data/log/a', fill(65, 4));
    const first = file.write([fill(66, 4)], 0);
    await expect(file.write([fill(67, 4)], 0)).rejects.toThrow(TypeError);
    await first;
  });
});
