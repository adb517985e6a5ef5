import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Model } from './model.ts';

const TOPICS = ['t', 'u', 'v'];
const FILTERS = [['t'], ['t'], ['t', 'u'], ['*'], ['u', 'v']];

/** One thing that happens; the model is the state too. */
class Event implements fc.AsyncCommand<Model, Model> {
  readonly #text: string;
  readonly #happen: (model: Model) => void | Promise<void>;

  constructor(text: string, happen: (model: Model) => void | Promise<void>) {
    this.#text = text;
    this.#happen = happen;
  }

  check(): boolean {
    return true;
  }

  async run(model: Model): Promise<void> {
    await this.#happen(model);
    await model.stage.pass();
    model.check();
  }

  toString(): string {
    return this.#text;
  }
}

const who = fc.nat(7);

/** Something that a member does, if there is one. */
function byMember(
  name: string,
  act: (model: Model, member: NonNullable<ReturnType<Model['member']>>) => void | Promise<void>,
): fc.Arbitrary<Event> {
  return who.map(
    (number) =>
      new Event(`${name} ${number}`, async (model) => {
        const member = model.member(number);
        if (member) await act(model, member);
      }),
  );
}

const asks = byMember('ask', (model, member) => {
  if (!member.isAsking && !member.isFrozen) model.ask(member);
});
const stops = byMember('stop reading', (model, member) => {
  if (!member.isFrozen) model.stopReading(member);
});

const EVENTS: fc.Arbitrary<Event>[] = [
  fc.tuple(fc.nat(2), fc.nat(FILTERS.length - 1)).map(
    ([instance, filter]) =>
      new Event(`add ${instance} ${filter}`, (model) => {
        if (model.members.size >= 6) return;
        const instanceId = instance === 0 ? 'static' : '';
        // One that comes back takes over; its predecessor runs no more.
        for (const member of model.members.values()) {
          if (instanceId !== '' && member.instanceId === instanceId) model.members.delete(member.id);
        }
        model.ask(model.add(instanceId, FILTERS[filter]!));
      }),
  ),
  asks,
  asks,
  asks,
  stops,
  stops,
  byMember('commit', (model, member) => {
    if (!member.isFrozen) model.commit(member);
  }),
  byMember('answer is lost of', (_, member) => {
    member.isDeaf = member.isAsking;
  }),
  byMember('request comes again of', (model, member) => model.repeat(member)),
  byMember('freeze', (_, member) => {
    member.isFrozen = member.isDeaf = true;
  }),
  byMember('late commit of', (model, member) => (member.isFrozen ? model.commitLate(member) : undefined)),
  byMember('leave', (model, member) => model.leave(member, false)),
  byMember('leave for a while', (model, member) => model.leave(member, true)),
  fc.constantFrom(1, 400, 1500, 3000).map((ms) => new Event(`pass ${ms}`, ({ stage }) => stage.pass(ms))),
  fc.constantFrom(1, 400).map((ms) => new Event(`pass ${ms}`, ({ stage }) => stage.pass(ms))),
  fc.tuple(fc.constantFrom(...TOPICS), fc.integer({ min: 1, max: 7 })).map(
    ([topic, partitions]) =>
      new Event(`topic ${topic} ${partitions}`, ({ stage: { topics } }) => {
        const before = topics.find(topic)?.partitions;
        if (before === undefined) topics.make(topic, partitions);
        else if (before < partitions) topics.grow(topic, partitions);
      }),
  ),
  fc
    .constantFrom(...TOPICS)
    .map((topic) => new Event(`delete ${topic}`, (model) => model.deleteTopic(topic))),
  fc.constant(new Event('lead', (model) => model.lead())),
  fc.constant(
    new Event('hold the log', ({ stage }) => {
      stage.log.isHeld = true;
    }),
  ),
  fc.constant(new Event('release the log', ({ stage }) => stage.log.resume())),
  fc.boolean().map(
    (isStored) =>
      new Event(`fail the log ${isStored}`, async (model) => {
        model.stage.log.fail(isStored);
        await model.stage.pass();
        if (model.stage.failures.splice(0).length > 0) model.lead();
      }),
  ),
];

describe('consumer groups, whatever happens', () => {
  it('never have two readers of a partition, lose no commit, and come to rest with all partitions divided', async () => {
    const options = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };
    await fc.assert(
      fc.asyncProperty(fc.commands(EVENTS, { maxCommands: 80, size: '+1' }), async (events) => {
        const model = new Model();
        await fc.asyncModelRun(() => ({ model, real: model }), events);
        await model.settle();
      }),
      { numRuns: 200, ...options },
    );
    expect.hasAssertions();
  }, 120_000);
});
