/**
 * Key filters and topic filters: nanoseconds per question, median of five.
 *
 *     node bench/micro/matcher.ts
 */
import { KeyFilter } from '../../src/catalog/key-filter.ts';
import { parseFilter, takesTopic } from '../../src/catalog/topic-filter.ts';

const QUESTIONS = 3_000_000;
const RUNS = 5;

let answers = 0;

function nanoseconds(ask: (index: number) => boolean): number {
  const samples = Array.from({ length: RUNS }, () => {
    const started = performance.now();
    for (let index = 0; index < QUESTIONS; index++) if (ask(index)) answers++;
    return ((performance.now() - started) * 1e6) / QUESTIONS;
  });
  return Math.round(samples.sort((a, b) => a - b)[RUNS >> 1]! * 10) / 10;
}

const keys = Array.from({ length: 1024 }, (_, index) =>
  Buffer.from(`site${index % 7}/room${index % 31}/sensor${index}/temperature`),
);
for (const text of ['#', 'site3/#', '+/room4/+/temperature', 'site1/room1/sensor1/temperature', '+/+/+/+']) {
  const filter = new KeyFilter(text);
  const ns = nanoseconds((index) => filter.matches(keys[index & 1023]!));
  console.log(JSON.stringify({ bench: 'key-filter', filter: text, ns }));
}

const topics = Array.from(
  { length: 1024 },
  (_, index) => `prices.${index % 2 === 0 ? 'eu' : 'us'}.stock-${index}`,
);
for (const text of ['#', 'prices.*', '*.eu.*-1*']) {
  const filter = parseFilter(text);
  const ns = nanoseconds((index) => takesTopic(filter, topics[index & 1023]!));
  console.log(JSON.stringify({ bench: 'topic-filter', filter: text, ns }));
}
console.log(JSON.stringify({ answers }));
