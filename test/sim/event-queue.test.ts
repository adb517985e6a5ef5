import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../support/seeded-random.ts';
import { EventQueue } from './event-queue.ts';
import { Machine } from './machine.ts';

describe('an event queue', () => {
  it('lets everything happen in order of time, and in the order it was scheduled within one', () => {
    const events = new EventQueue();
    const random = new SeededRandom(5);
    const expected: [number, number][] = [];
    const seen: [number, number][] = [];
    for (let index = 0; index < 500; index++) {
      const at = random.below(50);
      expected.push([at, index]);
      events.after(at, () => seen.push([events.nowMs, index]));
    }
    while (events.step(1000));
    expect(seen).toEqual(expected.sort(([a, i], [b, j]) => a - b || i - j));
    expect(events.nowMs).toBe(1000);
  });

  it('leaves out what is cancelled and what is behind the end', () => {
    const events = new EventQueue();
    const seen: string[] = [];
    events.after(1, () => seen.push('cancelled')).run = undefined;
    events.after(2, () => seen.push('in time'));
    events.after(3, () => seen.push('late'));
    expect([events.step(2), events.step(2), seen]).toEqual([true, false, ['in time']]);
  });
});

describe('a machine', () => {
  const stage = (rate = 1) => {
    const events = new EventQueue();
    const machine = new Machine('a', events, new SeededRandom(1), rate);
    const seen: string[] = [];
    const run = (ms: number): void => {
      const endMs = events.nowMs + ms;
      while (events.step(endMs));
    };
    return { machine, seen, run };
  };

  it('that is frozen does what has waited when it wakes, and its clock has gone on', () => {
    const { machine, seen, run } = stage();
    const { clock } = machine;
    const startMs = clock.monotonicMs();
    machine.post(5, () => seen.push('message'));
    clock.setTimer(6, () => seen.push('timer'));
    machine.freeze();
    run(100);
    expect([seen, clock.monotonicMs() - startMs]).toEqual([[], 100]);
    machine.thaw();
    run(0);
    expect(seen.toSorted()).toEqual(['message', 'timer']);
  });

  it('loses what was for a process that has ended', () => {
    const { machine, seen, run } = stage();
    machine.post(5, () => seen.push('message'));
    machine.clock.setTimer(5, () => seen.push('timer'));
    machine.stop();
    machine.start();
    machine.post(5, () => seen.push('new'));
    run(10);
    expect(seen).toEqual(['new']);
  });

  it('has a clock that runs at its rate, and a wall clock that jumps', () => {
    const { machine, seen, run } = stage(2);
    const { clock } = machine;
    clock.setTimer(10, () => seen.push('rang'));
    const wallMs = clock.now();
    run(4);
    expect([seen, clock.monotonicMs()]).toEqual([[], 8]);
    run(1);
    machine.jump(-1000);
    expect([seen, clock.now() - wallMs]).toEqual([['rang'], -995]);
  });
});
