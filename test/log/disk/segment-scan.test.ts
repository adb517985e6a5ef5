import { describe, expect, it } from 'vitest';
import type { OpenFile } from '../../../src/log/disk/file-system.ts';
import { findNextBatch, scanSegment } from '../../../src/log/disk/segment-scan.ts';
import type { ScanEnd, ScanOptions } from '../../../src/log/disk/segment-scan.ts';
import { SPARE_ROOM } from '../../../src/log/disk/spare-room.ts';
import { BATCH_FIELD } from '../../../src/wire/record-batch.ts';
import { stampedBatch } from '../../support/batch.ts';
import { FakeDisk } from '../../support/fake-disk.ts';

const CHECKED = { verifyCrc: true } as const;

async function fileOf(...parts: readonly Buffer[]): Promise<OpenFile> {
  const disk = new FakeDisk();
  disk.plant('/file', Buffer.concat(parts));
  return disk.open('/file', { readOnly: true });
}

/** Three batches: offsets 0, 1 to 2 and 3, of different sizes. */
function three(): [Buffer, Buffer, Buffer] {
  return [
    stampedBatch(0, 1),
    stampedBatch(1, [{ value: 'x'.repeat(3000) }, {}]),
    stampedBatch(3, [{ value: 'y' }]),
  ];
}

async function scan(
  file: OpenFile,
  options: ScanOptions = CHECKED,
  range: { from?: number; to?: number } = {},
): Promise<{ readonly seen: [offset: number, position: number, bytes: number][]; readonly end: ScanEnd }> {
  const seen: [number, number, number][] = [];
  const end = await scanSegment(
    file,
    { from: range.from ?? 0, to: range.to ?? (await file.size()) },
    (header, position, bytes) => {
      seen.push([header.baseOffset, position, bytes.length]);
      return undefined;
    },
    options,
  );
  return { seen, end };
}

/** `bytes` with one of them changed. */
function damaged(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 0xff;
  return copy;
}

describe('scanning a segment', () => {
  it('shows every batch with its position, and ends behind the last', async () => {
    const [a, b, c] = three();
    const { seen, end } = await scan(await fileOf(a, b, c), { ...CHECKED, expectedOffset: 0 });
    expect(seen).toEqual([
      [0, 0, a.length],
      [1, a.length, b.length],
      [3, a.length + b.length, c.length],
    ]);
    expect(end).toEqual({
      position: a.length + b.length + c.length,
      nextOffset: 4,
      kind: 'end',
      reason: '',
    });
  });

  it.each([61, 62, 100, 1000])('sees the same when it reads %i bytes at a time', async (chunkBytes) => {
    const file = await fileOf(...three());
    expect(await scan(file, { ...CHECKED, chunkBytes })).toEqual(await scan(file));
  });

  it('shows only headers when it does not check', async () => {
    const { seen } = await scan(await fileOf(...three()), { verifyCrc: false });
    expect(seen.map(([offset, , bytes]) => [offset, bytes])).toEqual([
      [0, 61],
      [1, 61],
      [3, 61],
    ]);
  });

  it('begins where it is told, and stops at the end it is given', async () => {
    const [a, b, c] = three();
    const file = await fileOf(a, b, c);
    const { seen, end } = await scan(file, CHECKED, { from: a.length, to: a.length + b.length });
    expect([seen.length, end.nextOffset, end.kind]).toEqual([1, 3, 'end']);
  });

  it('stops behind the batch at which it is told to', async () => {
    const [a, b, c] = three();
    const file = await fileOf(a, b, c);
    const end = await scanSegment(file, { from: 0, to: await file.size() }, () => false, CHECKED);
    expect(end).toMatchObject({ position: a.length, nextOffset: 1, kind: 'end' });
  });

  it('waits for what it calls before it goes on', async () => {
    const file = await fileOf(...three());
    let busy = 0;
    let most = 0;
    await scanSegment(
      file,
      { from: 0, to: await file.size() },
      async () => {
        most = Math.max(most, ++busy);
        await Promise.resolve();
        busy--;
        return undefined;
      },
      CHECKED,
    );
    expect(most).toBe(1);
  });

  it('finds nothing in an empty file', async () => {
    const { seen, end } = await scan(await fileOf(), { ...CHECKED, expectedOffset: 7 });
    expect([seen, end.nextOffset, end.kind]).toEqual([[], 7, 'end']);
  });

  it('ends at the last whole batch, at whatever byte the file was cut', async () => {
    const batches = three();
    const whole = Buffer.concat(batches);
    const ends = [0, batches[0].length, batches[0].length + batches[1].length, whole.length];
    for (let length = 0; length <= whole.length; length += length < 200 ? 1 : 37) {
      const { end } = await scan(await fileOf(whole.subarray(0, length)));
      const position = ends.findLast((one) => one <= length)!;
      expect(end.isShort === true).toBe(position !== length);
      expect([length, end.position, end.kind]).toEqual([
        length,
        position,
        position === length ? 'end' : 'damaged',
      ]);
    }
  });

  it('ends at a batch of which any byte under the CRC, or of its size, was changed', async () => {
    const [a, b, c] = three();
    const covered = [8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 40, 60, 61, b.length - 1];
    for (const at of covered) {
      const { end } = await scan(await fileOf(a, damaged(b, at), c));
      expect([at, end.position, end.kind]).toEqual([at, a.length, 'damaged']);
    }
  });

  it('does not notice changed records when it does not check', async () => {
    const [a, b, c] = three();
    expect((await scan(await fileOf(a, damaged(b, 70), c), { verifyCrc: false })).end.kind).toBe('end');
  });

  it.each([
    ['an offset that was there', 0],
    ['an offset that skips some', 9],
  ])('ends at a batch with %s', async (_what, offset) => {
    const [a] = three();
    const file = await fileOf(a, stampedBatch(offset, 1));
    expect((await scan(file, { ...CHECKED, expectedOffset: 0 })).end.position).toBe(a.length);
  });

  it('passes over holes where there may be some, forwards only', async () => {
    const options = { ...CHECKED, expectedOffset: 0, holes: true };
    const [a] = three();
    expect((await scan(await fileOf(a, stampedBatch(9, 1)), options)).end.kind).toBe('end');
    expect((await scan(await fileOf(a, stampedBatch(0, 1)), options)).end.kind).toBe('damaged');
  });

  it('ends at zeros, as a file has them that was made longer and not written', async () => {
    const [a] = three();
    const { end } = await scan(await fileOf(a, Buffer.alloc(10_000)));
    expect([end.position, end.kind]).toEqual([a.length, 'damaged']);
  });

  it('ends where the file does, also when it should be longer', async () => {
    const [a, b] = three();
    const { end } = await scan(await fileOf(a, b.subarray(0, 500)), CHECKED, {
      from: 0,
      to: a.length + b.length,
    });
    expect([end.position, end.kind]).toEqual([a.length, 'damaged']);
  });

  it('takes no length for granted', async () => {
    const [a, b, c] = three();
    for (const length of [-1, 0, 48, 0x7fff_ffff]) {
      const wrong = Buffer.from(b);
      wrong.writeInt32BE(length, BATCH_FIELD.LENGTH);
      const { end } = await scan(await fileOf(a, wrong, c));
      expect([length, end.position, end.kind]).toEqual([length, a.length, 'damaged']);
    }
  });
});

describe('finding the next batch behind damage', () => {
  const find = async (parts: readonly Buffer[], from: number, minOffset: number) => {
    const file = await fileOf(...parts);
    return findNextBatch(file, { from, to: await file.size() }, minOffset);
  };

  it.each([
    ['its records', 70, true],
    ['its size', 9, false],
    ['its magic', 16, false],
  ])('finds the one behind when %s are damaged', async (_what, at, isStated) => {
    const [a, b, c] = three();
    expect(await find([a, damaged(b, at), c], a.length, 1)).toEqual({
      position: a.length + b.length,
      baseOffset: 3,
      isStated,
    });
  });

  it('finds none behind the last', async () => {
    const [a, b] = three();
    expect(await find([a, damaged(b, 70)], a.length, 1)).toBeUndefined();
  });

  it('finds none that was there before', async () => {
    const [a, b] = three();
    expect(await find([a, damaged(b, 9), a], a.length, 1)).toBeUndefined();
  });

  it('does not take a record for a batch because it contains one', async () => {
    const [a, , c] = three();
    const inner = stampedBatch(50, 1);
    const outer = stampedBatch(1, [{ value: '' }, { value: 'z'.repeat(3000) }]);
    inner.copy(outer, 200);
    const next = { position: a.length + outer.length, baseOffset: 3, isStated: true };
    expect(await find([a, outer, c], a.length, 1)).toEqual(next);
    expect(await find([a, outer], a.length, 1)).toBeUndefined();
    expect(await find([a, outer, SPARE_ROOM.subarray(0, 800)], a.length, 1)).toBeUndefined();
    expect(await find([a, outer, SPARE_ROOM], a.length, 1)).toBeUndefined();
    // More than any log leaves: what the batch says of its size may be what is damaged.
    const inside = { position: a.length + 200, baseOffset: 50, isStated: false };
    expect(await find([a, outer, SPARE_ROOM, SPARE_ROOM], a.length, 1)).toEqual(inside);
  });
});
