/** The checker that judges workloads, broken on purpose: whatever a cluster may do wrong has to be seen. */
import { describe, expect, it } from 'vitest';
import { checkHistory } from './check-history.ts';
import type { History, PlacedRecord, Reading } from './history.ts';
import { longestPause } from './history.ts';

const KEYS = ['a', 'b', 'c'];
const RECORDS = 5;

/** Two partitions, the first of which has two keys; every record acknowledged and read by two subscribers. */
function flawless(): Mutable {
  const log = KEYS.flatMap((key, k) =>
    Array.from({ length: RECORDS }, (_, number): PlacedRecord => {
      return { key, number, partition: k >> 1, offset: (k & 1) + (k < 2 ? 2 * number : number) };
    }),
  ).sort((a, b) => a.offset - b.offset);
  const reading = (name: string) => ({ name, records: [...log], gaps: [], interruptions: [] });
  return {
    startMs: 1000,
    endMs: 1000 + 10 * log.length,
    partitions: 2,
    sent: new Map(KEYS.map((key) => [key, RECORDS])),
    acknowledged: log.map((record, n) => ({ ...record, atMs: 1000 + 10 * n })),
    refusals: [],
    readings: [reading('subscriber'), reading('afterwards')],
  };
}

interface Mutable extends History {
  readonly sent: Map<string, number>;
  acknowledged: History['acknowledged'][number][];
  refusals: string[];
  readings: (Reading & { records: PlacedRecord[]; gaps: unknown[]; interruptions: string[] })[];
}

/** Kinds of faults after something was broken. */
function kindsAfter(breakIt: (history: Mutable) => void): string[] {
  const history = flawless();
  breakIt(history);
  return [...new Set(checkHistory(history).map(({ kind }) => kind))].sort();
}

const isAt = (partition: number, offset: number) => (one: PlacedRecord) =>
  one.partition === partition && one.offset === offset;

describe('a checker of histories', () => {
  it('finds nothing where nothing is wrong', () => {
    expect(checkHistory(flawless())).toEqual([]);
  });

  it('finds nothing where a record was refused, stored all the same and read by everybody', () => {
    expect(kindsAfter((history) => history.acknowledged.splice(3, 1))).toEqual([]);
  });

  it('finds a record that one reader did not get', () => {
    const kinds = kindsAfter(({ readings }) => readings[0]!.records.splice(4, 1));
    expect(kinds).toEqual(['gap', 'lost']);
  });

  it('finds the last record of a partition missing, which leaves no gap', () => {
    const kinds = kindsAfter(({ readings }) => {
      for (const one of readings) one.records = one.records.filter((record) => !isAt(1, RECORDS - 1)(record));
    });
    expect(kinds).toEqual(['lost']);
  });

  it('finds a record that was not acknowledged, was read, and is gone', () => {
    const kinds = kindsAfter((history) => {
      const { acknowledged, readings } = history;
      history.acknowledged = acknowledged.filter((record) => !isAt(1, RECORDS - 1)(record));
      readings[1]!.records = readings[1]!.records.filter((record) => !isAt(1, RECORDS - 1)(record));
    });
    expect(kinds).toEqual(['vanished']);
  });

  it('finds a record that came twice', () => {
    const kinds = kindsAfter(({ readings }) => readings[0]!.records.push(readings[0]!.records.at(-1)!));
    expect(kinds).toEqual(['disorder', 'doubled']);
  });

  it('finds a record that is stored twice', () => {
    const kinds = kindsAfter(({ readings }) => {
      const again = { ...readings[0]!.records.find(isAt(1, RECORDS - 1))!, offset: RECORDS };
      for (const { records } of readings) records.push(again);
    });
    expect(kinds).toContain('doubled');
  });

  it('finds an offset that holds another record than was acknowledged there', () => {
    const kinds = kindsAfter(({ acknowledged }) => {
      acknowledged[0] = { ...acknowledged[0]!, offset: acknowledged[0]!.offset + 1 };
    });
    expect(kinds).toEqual(expect.arrayContaining(['lost', 'moved']));
  });

  it('finds two records acknowledged at one offset', () => {
    const kinds = kindsAfter(({ acknowledged }) => {
      const [first, second] = acknowledged.filter(({ key }) => key === 'c');
      acknowledged[acknowledged.indexOf(second!)] = { ...second!, offset: first!.offset };
    });
    expect(kinds).toContain('moved');
  });

  it('finds that an offset held something else for one reader than for another', () => {
    const kinds = kindsAfter((history) => {
      const { records } = history.readings[0]!;
      const [a, b] = [records.findIndex(isAt(0, 0)), records.findIndex(isAt(0, 1))];
      [records[a], records[b]] = [
        { ...records[b]!, offset: 0 },
        { ...records[a]!, offset: 1 },
      ];
    });
    expect(kinds).toContain('moved');
  });

  it('finds records of a key stored in another order than they were sent', () => {
    const kinds = kindsAfter((history) => {
      const swap = <R extends PlacedRecord>(record: R): R =>
        record.key === 'c' && record.number < 2 ? { ...record, number: 1 - record.number } : record;
      history.acknowledged = history.acknowledged.map(swap);
      for (const one of history.readings) one.records = one.records.map(swap);
    });
    expect(kinds).toEqual(['disorder']);
  });

  it('finds records of a key that came out of order', () => {
    const kinds = kindsAfter(({ readings }) => {
      const { records } = readings[0]!;
      const at = records.findIndex(isAt(1, 2));
      records.push(...records.splice(at, 1));
    });
    expect(kinds).toContain('disorder');
  });

  it('finds a record that nobody sent', () => {
    const kinds = kindsAfter(({ readings }) => {
      for (const { records } of readings) records.push({ key: 'c', number: 5, partition: 1, offset: 5 });
    });
    expect(kinds).toEqual(['invented']);
  });

  it('finds a gap that was told, a subscription that began anew, a send that was refused', () => {
    expect(kindsAfter(({ readings }) => readings[0]!.gaps.push({ partition: 0, from: 0, to: 2 }))).toEqual([
      'gap',
    ]);
    expect(kindsAfter(({ readings }) => readings[0]!.interruptions.push('anew'))).toEqual(['ended']);
    expect(kindsAfter(({ refusals }) => refusals.push('TIMEOUT'))).toEqual(['refused']);
  });

  it('does not take a history for proof in which a partition was never published to, or nobody read', () => {
    expect(
      kindsAfter((history) => void (history.acknowledged = history.acknowledged.filter(isAt(0, 0)))),
    ).toEqual(['nothing']);
    expect(kindsAfter((history) => void (history.readings = []))).toEqual(['nothing']);
  });
});

describe('the longest pause of a history', () => {
  /** Partitions 0 and 1 acknowledge at these times, from 0 to 100. */
  const history = (...times: readonly (readonly number[])[]): History => ({
    ...{ ...flawless(), startMs: 0, endMs: 100 },
    acknowledged: times.flatMap((list, partition) =>
      list.map((atMs, offset) => ({ key: 'a', number: offset, partition, offset, atMs })),
    ),
  });
  const often = [10, 20, 30, 40, 50, 60, 70, 80, 90];

  it('is the longest time in which one partition acknowledged nothing', () => {
    const seldom = [10, 20, 55, 70, 90];
    expect(longestPause(history(often, seldom))).toEqual({ partition: 1, fromMs: 20, lengthMs: 35 });
  });

  it('counts the time before the first answer and after the last one', () => {
    expect(longestPause(history(often, often.slice(4)))).toEqual({ partition: 1, fromMs: 0, lengthMs: 50 });
    expect(longestPause(history(often.slice(0, 4), often))).toEqual({
      partition: 0,
      fromMs: 40,
      lengthMs: 60,
    });
    expect(longestPause(history(often, []))).toEqual({ partition: 1, fromMs: 0, lengthMs: 100 });
  });

  it('counts the time until an answer that came after the end', () => {
    expect(longestPause(history(often, [10, 150]))).toEqual({ partition: 1, fromMs: 10, lengthMs: 140 });
  });

  it('looks only at what came after a moment', () => {
    const late = often.slice(5);
    expect(longestPause(history(often, late), 55)).toEqual({ partition: 0, fromMs: 60, lengthMs: 10 });
    expect(longestPause(history(often, late), 35)).toEqual({ partition: 1, fromMs: 35, lengthMs: 25 });
  });
});
