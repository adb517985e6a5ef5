import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseFilter, takesTopic } from '../../../src/catalog/topic-filter.ts';
import { compareFilters } from '../../../src/groups/consumer/compare-filters.ts';
import { MemberFilters } from '../../../src/groups/consumer/member-filters.ts';
import { TopicNumbers } from '../../../src/groups/consumer/topic-numbers.ts';
import { Turns } from '../../../src/kernel/turns.ts';
import { FakeTopics } from './fake-topics.ts';

const NO = (): boolean => false;

/** A thousand wildcards that begin as the topics' names do. */
const MANY = Array.from({ length: 1000 }, (_, i) => `*${'a'.repeat(100)}${i}b*`);

function topicsOf(names: readonly string[]): FakeTopics {
  const topics = new FakeTopics();
  for (const name of names) topics.make(name, 1);
  return topics;
}

it('filters take what each of them takes, asked again and again, while topics come and go', () => {
  const name = fc
    .string({ unit: fc.constantFrom('a', 'b', '.'), minLength: 1, maxLength: 5 })
    .map((one) => `t${one}`);
  const filter = fc
    .string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 4 })
    .map((one) => `t${one}`);
  fc.assert(
    fc.property(
      fc.array(filter, { minLength: 1, maxLength: 4 }),
      fc.array(name, { maxLength: 40 }),
      (texts, names) => {
        const numbers = new TopicNumbers();
        const filters = new MemberFilters(texts, numbers);
        for (const [at, topic] of [...names, ...names].entries()) {
          const expected = texts.some((text) => takesTopic(parseFilter(text), topic));
          expect(filters.takes(topic)).toBe(expected);
          // Names stand for others from now on.
          if (at % 17 === 16) forgetAll(numbers);
        }
      },
    ),
  );
});

it('many filters are compared with many topics a bounded part in each turn, and no name twice', async () => {
  const topics = topicsOf(Array.from({ length: 30 }, (_, i) => `${'a'.repeat(200)}${i}`));
  const numbers = new TopicNumbers();
  const filters = new MemberFilters(MANY, numbers);
  let others = 0;
  let isOver = false;
  const watch = (): void => {
    others += 1;
    if (!isOver) setImmediate(watch);
  };
  setImmediate(watch);
  const state = { filterSets: () => [filters] };
  await compareFilters(state, { topics, numbers, turns: new Turns() }, NO);
  isOver = true;
  expect(others).toBeGreaterThan(10);
  expect(topics.all().map(({ name }) => filters.costOf(name) < MANY.length)).not.toContain(false);
});

it('who comes meanwhile is compared as well', async () => {
  const topics = topicsOf(Array.from({ length: 10 }, (_, i) => `${'a'.repeat(200)}${i}`));
  const numbers = new TopicNumbers();
  const sets = [new MemberFilters(MANY, numbers)];
  const comparing = compareFilters({ filterSets: () => sets }, { topics, numbers, turns: new Turns() }, NO);
  sets.push(new MemberFilters(['a*'], numbers));
  topics.make('ab', 1);
  await comparing;
  const costs = sets.flatMap((filters) => topics.all().map(({ name }) => filters.costOf(name)));
  expect(new Set(costs).size).toBe(1);
});

it('what few filters take is known in the same turn', async () => {
  const topics = topicsOf(['a', 'b']);
  const numbers = new TopicNumbers();
  let isDone = false;
  const filters = new MemberFilters(['a*', 'c'], numbers);
  const turns = new Turns();
  void compareFilters({ filterSets: () => [filters] }, { topics, numbers, turns }, NO).then(
    () => (isDone = true),
  );
  await Promise.resolve();
  await Promise.resolve();
  expect(isDone).toBe(true);
});

function forgetAll(numbers: TopicNumbers): void {
  for (let i = 0; i <= 1000; i++) numbers.of(`gone${i}`);
  numbers.take([]);
}
