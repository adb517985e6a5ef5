import type { Admin, DeadLetter, DeadLetters, RecordPlace } from '../../client/index.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import { withClient } from '../connection.ts';
import type { ConnectionFlags } from '../connection.ts';
import type { AdminFlags } from '../declare/declare-options.ts';
import { facts, table, timestamp } from '../format.ts';
import { recordObject } from '../records/record-format.ts';
import { parsePlace, placeText, shortText } from '../records/record-text.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice dlq list`. */
export interface DlqListFlags extends AdminFlags {
  readonly max: number;
}

/** Options of `sluice dlq replay`. */
export interface DlqReplayFlags extends AdminFlags {
  readonly all?: true;
  readonly to?: string;
}

const PREFIX = 'dlq.';
const HEADER = /^sluice-dlq-/;

/** Lists the dead letters of a topic; without one, the topics that have any. @throws TOPIC_NOT_FOUND where there is neither it nor one of its dead letters */
export function listDeadLetters(
  topic: string | undefined,
  flags: DlqListFlags,
  terminal: Terminal,
): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    if (topic === undefined) {
      const topics = await topicsWithLetters(admin);
      const rows = topics.map((one) => [one.topic, one.records, one.deadLetterTopic]);
      terminal.stdout.line(
        flags.output === 'json' ? JSON.stringify(topics) : table(['TOPIC', 'DEAD LETTERS', 'IN'], rows),
      );
      return;
    }
    const found = await admin.deadLetters(topic).list({ max: flags.max + 1 });
    if (found.length === 0) await checkExists(topic, admin);
    const letters = found.slice(0, flags.max);
    terminal.stdout.line(
      flags.output === 'json' ? JSON.stringify(letters.map(asJson)) : letterTable(letters),
    );
    if (found.length > letters.length) {
      terminal.stderr.line(
        `sluice: there are more than ${letters.length}; --max shows more, sluice dlq export all`,
      );
    }
  });
}

/** Shows one dead letter in full, the first where none is named. @throws RECORD_NOT_FOUND */
export function peekDeadLetter(
  topic: string,
  place: string | undefined,
  flags: AdminFlags,
  terminal: Terminal,
): Promise<void> {
  const wanted = place === undefined ? undefined : parsePlace(place);
  return withLetters(topic, flags, terminal, async (letters) => {
    const letter = wanted === undefined ? await firstOf(letters) : await letters.peek(wanted);
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(asJson(letter)) : letterText(letter));
  });
}

/** Publishes dead letters to where they came from, or elsewhere. @throws INVALID_ARGUMENT when none is named; RECORD_NOT_FOUND */
export function replayDeadLetters(
  topic: string,
  places: readonly string[],
  flags: DlqReplayFlags,
  terminal: Terminal,
): Promise<void> {
  if ((flags.all === true) === places.length > 0) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      'Say which: PARTITION:OFFSET as sluice dlq list shows them, or --all.',
    );
  }
  const records = flags.all === true ? undefined : places.map(parsePlace);
  const options = flags.to === undefined ? {} : { destination: flags.to };
  return withLetters(topic, flags, terminal, async (letters) => {
    const replayed = await letters.replay(records, options);
    tell({ replayed }, `replayed ${quantity(replayed, 'record')}`, flags, terminal);
    checkAll(records, replayed);
  });
}

/** Forgets these dead letters. @throws RECORD_NOT_FOUND */
export function deleteDeadLetters(
  topic: string,
  places: readonly string[],
  flags: AdminFlags,
  terminal: Terminal,
): Promise<void> {
  const records = places.map(parsePlace);
  return withLetters(topic, flags, terminal, async (letters) => {
    const deleted = await letters.delete(records);
    tellDeleted(deleted, flags, terminal);
    checkAll(records, deleted);
  });
}

/** Forgets all dead letters of a topic that nobody has leased. */
export function purgeDeadLetters(topic: string, flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withLetters(topic, flags, terminal, async (letters) => {
    tellDeleted(await letters.purge(), flags, terminal);
  });
}

/** Writes all dead letters to stdout, a JSON object on each line. Ends quietly when nobody reads any more. */
export function exportDeadLetters(topic: string, flags: ConnectionFlags, terminal: Terminal): Promise<void> {
  const { stdout, interrupted } = terminal;
  return withLetters(topic, flags, terminal, async (letters) => {
    for await (const line of letters.export()) {
      if (!stdout.write(line)) await stdout.drained();
      if (stdout.closed.aborted) return;
      if (interrupted.aborted) throw new SluiceError('CANCELLED', 'interrupted; not all was written');
    }
  });
}

/** @throws RECORD_NOT_FOUND when that was not all that were named */
function checkAll(records: readonly RecordPlace[] | undefined, done: number): void {
  const named = new Set(records?.map(placeText)).size;
  if (done >= named) return;
  const what = `${named - done} of ${quantity(named, 'record')} could not be found: no dead letters now, or leased by somebody`;
  throw new SluiceError('RECORD_NOT_FOUND', what);
}

/** Without a dead-letter topic there are none: that is what the error says. */
function withLetters(
  topic: string,
  flags: ConnectionFlags,
  terminal: Terminal,
  use: (letters: DeadLetters) => Promise<void>,
): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const letters = admin.deadLetters(topic);
    try {
      await use(letters);
    } catch (error) {
      const known = asSluiceError(error);
      if (known.code !== 'TOPIC_NOT_FOUND' || !known.message.includes(letters.topic)) throw known;
      const what = `${topic} has no dead letters, and never had. See which topics have: sluice dlq list`;
      throw new SluiceError('TOPIC_NOT_FOUND', what, { cause: known });
    }
  });
}

async function firstOf(letters: DeadLetters): Promise<DeadLetter> {
  const [first] = await letters.list({ max: 1 });
  if (first !== undefined) return first;
  throw new SluiceError('RECORD_NOT_FOUND', `there are no dead letters in ${letters.topic} now`);
}

interface TopicWithLetters {
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly records: number;
}

/** @throws TOPIC_NOT_FOUND */
async function checkExists(topic: string, admin: Admin): Promise<void> {
  const names = [topic, admin.deadLetters(topic).topic];
  const topics = await admin.listTopics();
  if (topics.some(({ name }) => names.includes(name))) return;
  throw new SluiceError('TOPIC_NOT_FOUND', `there is no topic '${topic}'`);
}

async function topicsWithLetters(admin: Admin): Promise<TopicWithLetters[]> {
  const names = (await admin.listTopics()).map(({ name }) => name).filter((name) => name.startsWith(PREFIX));
  return Promise.all(
    names.map(async (name) => ({
      topic: name.slice(PREFIX.length),
      deadLetterTopic: name,
      records: await lettersIn(name, admin),
    })),
  );
}

async function lettersIn(topic: string, admin: Admin): Promise<number> {
  try {
    const { ready, leased, delayed } = await admin.queues.describe(topic);
    return ready + leased + delayed;
  } catch (error) {
    if (asSluiceError(error).code !== 'QUEUE_NOT_FOUND') throw error;
    // Nobody has looked at them yet: they are all there.
    const { partitions } = await admin.describeTopic(topic);
    return partitions.reduce((sum, { logStart, highWatermark }) => sum + highWatermark - logStart, 0);
  }
}

function tell(
  json: Record<string, number>,
  text: string,
  { output }: AdminFlags,
  { stdout }: Terminal,
): void {
  stdout.line(output === 'json' ? JSON.stringify(json) : text);
}

function tellDeleted(deleted: number, flags: AdminFlags, terminal: Terminal): void {
  tell({ deleted }, `deleted ${quantity(deleted, 'record')}`, flags, terminal);
}

function letterTable(letters: readonly DeadLetter[]): string {
  const rows = letters.map((letter) => [
    placeText(letter),
    letter.origin === undefined ? '-' : placeText(letter.origin),
    letter.attempts,
    letter.reason === '' ? '-' : letter.reason,
    letter.text === '' ? '-' : shortText(Buffer.from(letter.text)),
    shortText(letter.record.key),
    shortText(letter.record.value),
  ]);
  return table(['RECORD', 'WAS', 'ATTEMPTS', 'REASON', 'SAID', 'KEY', 'VALUE'], rows);
}

function letterText(letter: DeadLetter): string {
  const { record, origin, atMs } = letter;
  const about = facts([
    ['record', placeText(letter)],
    ['was', origin === undefined ? '-' : `${origin.topic} ${placeText(origin)}`],
    ['reason', letter.reason === '' ? '-' : letter.reason],
    ['said', letter.text === '' ? '-' : letter.text.replaceAll(/\s+/g, ' ')],
    ['attempts', letter.attempts],
    ['group', letter.group],
    ['given up', atMs === undefined ? '-' : timestamp(atMs)],
    ['key', shortText(record.key)],
    ...record.headers
      .filter(({ key }) => !HEADER.test(key))
      .map(({ key, value }): [string, string] => [`header ${key}`, shortText(value)]),
  ]);
  return `${about}\n\n${record.text()}`;
}

function asJson({ record, ...letter }: DeadLetter): Record<string, unknown> {
  return {
    ...recordObject(record),
    reason: letter.reason,
    text: letter.text,
    attempts: letter.attempts,
    group: letter.group,
    origin: letter.origin ?? null,
    givenUp: letter.atMs === undefined ? null : new Date(letter.atMs).toISOString(),
  };
}
