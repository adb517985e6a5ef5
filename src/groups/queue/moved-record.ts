import type { Header } from '../../wire/record-cursor.ts';
import type { HeaderInput } from '../../wire/record-batch-encoder.ts';
import { DEAD_LETTER_HEADERS, isOfDelivery } from './delivery-headers.ts';

/** What a dead letter says of its past. */
export interface DeadLetterFacts {
  readonly reason: string;
  /** What the consumer said; empty: nothing. */
  readonly text: string;
  /** Deliveries. */
  readonly attempts: number;
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** Header of a dead letter that names the topic it came from. */
const ORIGIN_HEADER = `${DEAD_LETTER_HEADERS}topic`;

/** Headers of a record as a dead letter: its own, but for those of deliveries that are over, then what it has been through. */
export function deadLetterHeaders(headers: readonly Header[], facts: DeadLetterFacts): HeaderInput[] {
  const own = headers.filter(({ key }) => !isOfDelivery(key));
  const past: [name: string, value: string | number][] = [
    ['reason', facts.reason],
    ['text', facts.text],
    ['attempts', facts.attempts],
    ['group', facts.group],
    ['topic', facts.topic],
    ['partition', facts.partition],
    ['offset', facts.offset],
    ['time', facts.atMs],
  ];
  for (const [name, value] of past) {
    if (value === '') continue;
    own.push({ key: DEAD_LETTER_HEADERS + name, value: Buffer.from(String(value)) });
  }
  return own;
}

/** Headers of a record that goes to another topic as an ordinary one. */
export function replayedHeaders(headers: readonly Header[]): HeaderInput[] {
  return headers.filter(({ key }) => !key.startsWith(DEAD_LETTER_HEADERS));
}

/** The topic that a dead letter came from; undefined: it says none. */
export function originOf(headers: readonly Header[]): string | undefined {
  return headers.findLast(({ key }) => key === ORIGIN_HEADER)?.value?.toString();
}
