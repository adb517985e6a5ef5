import type { History, PlacedRecord, Reading } from './history.ts';

/**
 * A broken promise:
 *
 *     lost      an acknowledged record that a reading does not have
 *     doubled   a record that is at two offsets, or came twice
 *     moved     an offset that holds one record here and another one there
 *     disorder  records of a key, or offsets of a partition, that came in another order than they were sent
 *     invented  a record that nobody sent
 *     gap       offsets that a subscriber did not get, whether it was told or not
 *     vanished  a record that a reading has and a later, complete one does not
 *     ended     a subscription that ended or began anew by itself
 *     refused   a send that ended with an error
 *     nothing   a history in which too little happened to prove anything
 */
export interface Fault {
  readonly kind:
    | 'lost'
    | 'doubled'
    | 'moved'
    | 'disorder'
    | 'invented'
    | 'gap'
    | 'vanished'
    | 'ended'
    | 'refused'
    | 'nothing';
  /** For people. */
  readonly text: string;
}

/** Of each kind and place so many are told one by one; a broken log breaks thousands of records. */
const TOLD = 3;

/**
 * Judges a history of a topic that keeps everything: nothing acknowledged is lost, nothing is doubled, offsets never change, and the order
 * per key is kept, in the answers and in every reading alike. The last reading must be complete: it is the log as it is in the end.
 *
 * @returns what is wrong; empty: every promise was kept
 */
export function checkHistory(history: History): readonly Fault[] {
  const faults = new Faults();
  checkSubstance(history, faults);
  for (const refusal of history.refusals) faults.add('refused', '', refusal);
  const known = new Log();
  checkAnswers(history, known, faults);
  for (const reading of history.readings) checkReading(reading, history, known, faults);
  const last = history.readings.at(-1);
  if (last !== undefined) checkComplete(history.readings.slice(0, -1), last, faults);
  return faults.list;
}

/** Collects faults, the first few of each kind and place in words. */
class Faults {
  readonly list: Fault[] = [];
  readonly #counts = new Map<string, number>();

  add(kind: Fault['kind'], where: string, text: string): void {
    const place = `${kind} ${where}`;
    const count = (this.#counts.get(place) ?? 0) + 1;
    this.#counts.set(place, count);
    const message = where === '' ? text : `${where}: ${text}`;
    if (count <= TOLD) this.list.push({ kind, text: message });
    else if (count === TOLD + 1) this.list.push({ kind, text: `${where}: and more` });
  }
}

/** Which record is at which offset, and at which offset a record is. */
class Log {
  readonly #byOffset = new Map<number, Map<number, PlacedRecord>>();
  readonly #byRecord = new Map<string, Map<number, PlacedRecord>>();

  at({ partition, offset }: PlacedRecord): PlacedRecord | undefined {
    return this.#byOffset.get(partition)?.get(offset);
  }

  find({ key, number }: PlacedRecord): PlacedRecord | undefined {
    return this.#byRecord.get(key)?.get(number);
  }

  has(record: PlacedRecord): boolean {
    const found = this.at(record);
    return found?.key === record.key && found.number === record.number;
  }

  add(record: PlacedRecord): void {
    inner(this.#byOffset, record.partition).set(record.offset, record);
    inner(this.#byRecord, record.key).set(record.number, record);
  }
}

function inner<K>(maps: Map<K, Map<number, PlacedRecord>>, key: K): Map<number, PlacedRecord> {
  const existing = maps.get(key);
  if (existing) return existing;
  const made = new Map<number, PlacedRecord>();
  maps.set(key, made);
  return made;
}

/** A history in which nothing happened keeps every promise, and proves none. */
function checkSubstance({ acknowledged, readings, partitions }: History, faults: Faults): void {
  const reached = new Set(acknowledged.map(({ partition }) => partition));
  if (reached.size < partitions)
    faults.add('nothing', '', `only ${reached.size} of ${partitions} partitions have acknowledged anything`);
  if (readings.length === 0) faults.add('nothing', '', 'nobody has read anything');
}

function checkAnswers({ acknowledged, sent }: History, known: Log, faults: Faults): void {
  const where = 'acknowledged';
  for (const record of acknowledged) {
    if (record.number >= (sent.get(record.key) ?? 0)) faults.add('invented', where, textOf(record));
    place(record, known, where, faults);
  }
  for (const [key, records] of Map.groupBy(acknowledged, ({ key }) => key)) {
    const byNumber = records.toSorted((a, b) => a.number - b.number);
    byNumber.forEach((record, n) => {
      const before = byNumber[n - 1];
      if (before && before.partition === record.partition && before.offset >= record.offset)
        faults.add('disorder', `${where} of ${key}`, `${textOf(before)} is not before ${textOf(record)}`);
    });
  }
}

/** One offset holds one record, one record is at one offset, whoever says so. */
function place(record: PlacedRecord, known: Log, where: string, faults: Faults): void {
  const there = known.at(record);
  const before = known.find(record);
  if (there && (there.key !== record.key || there.number !== record.number))
    faults.add('moved', where, `${textOf(record)}, where ${textOf(there)} was`);
  if (before && (before.partition !== record.partition || before.offset !== record.offset))
    faults.add('doubled', where, `${textOf(record)}, and also ${textOf(before)}`);
  if (!there && !before) known.add(record);
}

function checkReading(reading: Reading, { acknowledged, sent }: History, known: Log, faults: Faults): void {
  const { name, records, gaps, interruptions } = reading;
  const own = new Log();
  const newest = new Map<string, PlacedRecord>();
  const next = new Map<number, number>();
  for (const record of records) {
    if (record.number >= (sent.get(record.key) ?? 0)) faults.add('invented', name, textOf(record));
    if (own.find(record)) faults.add('doubled', name, `${textOf(record)} came twice`);
    place(record, known, name, faults);
    own.add(record);
    const before = newest.get(record.key);
    if (before && before.number >= record.number)
      faults.add('disorder', name, `${textOf(record)} came after ${textOf(before)}`);
    newest.set(record.key, record);
    checkOffset(record, next, name, faults);
  }
  for (const { partition, from, to } of gaps)
    faults.add('gap', name, `was told that ${from} to ${to} of partition ${partition} are gone`);
  for (const text of interruptions) faults.add('ended', name, text);
  for (const record of acknowledged) if (!own.has(record)) faults.add('lost', name, textOf(record));
}

function checkOffset(record: PlacedRecord, next: Map<number, number>, name: string, faults: Faults): void {
  const { partition, offset } = record;
  const expected = next.get(partition) ?? 0;
  if (offset < expected) faults.add('disorder', name, `${textOf(record)} came when ${expected} was next`);
  if (offset > expected)
    faults.add(
      'gap',
      name,
      `${expected} to ${offset} of partition ${partition} are missing before ${textOf(record)}`,
    );
  next.set(partition, Math.max(expected, offset + 1));
}

/** What somebody has read was there for good: the log has it still. */
function checkComplete(readings: readonly Reading[], last: Reading, faults: Faults): void {
  const log = new Log();
  for (const record of last.records) log.add(record);
  for (const { name, records } of readings) {
    for (const record of records) {
      if (!log.has(record))
        faults.add('vanished', name, `${textOf(record)}, which '${last.name}' does not have`);
    }
  }
}

function textOf({ key, number, partition, offset }: PlacedRecord): string {
  return `${key} #${number} at ${partition}/${offset}`;
}
