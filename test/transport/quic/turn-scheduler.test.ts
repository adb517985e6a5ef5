import { describe, expect, it } from 'vitest';
import type { SendOutcome, TurnTaker } from '../../../src/transport/quic/turn-scheduler.ts';
import { TurnScheduler } from '../../../src/transport/quic/turn-scheduler.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { turns } from '../../support/turns.ts';

class Taker implements TurnTaker {
  dirty = false;
  inLine = false;
  bulky = false;
  again = 0;
  done: SendOutcome = 'little';
  onTakeIn: (() => void) | undefined;
  onSendOut: (() => void) | undefined;
  readonly #name: string;
  readonly #events: string[];

  constructor(name: string, events: string[]) {
    this.#name = name;
    this.#events = events;
  }

  takeIn(): void {
    this.#events.push(`${this.#name} in`);
    this.onTakeIn?.();
  }

  sendOut(): SendOutcome {
    this.#events.push(`${this.#name} out`);
    this.onSendOut?.();
    return this.again-- > 0 ? 'more' : this.done;
  }
}

function stage() {
  const events: string[] = [];
  const clock = new FakeClock();
  return {
    events,
    clock,
    scheduler: new TurnScheduler(clock),
    a: new Taker('a', events),
    b: new Taker('b', events),
  };
}

describe('turns of connections', () => {
  it('take in everything before anything is sent, and send for who was marked last first', async () => {
    const { scheduler, events, a, b } = stage();
    scheduler.mark(a);
    scheduler.mark(b);
    scheduler.mark(a);
    await turns(2);
    expect(events).toEqual(['a in', 'b in', 'b out', 'a out']);
  });

  it('let all promises run out in between, also those that others lead to', async () => {
    const { scheduler, events, a, b } = stage();
    a.onTakeIn = () => {
      void Promise.resolve()
        .then(() => undefined)
        .then(() => undefined)
        .then(() => {
          events.push('promise');
          scheduler.mark(b);
        });
    };
    scheduler.mark(a);
    await turns(2);
    expect(events).toEqual(['a in', 'promise', 'b out', 'a out']);
  });

  it('come again when more is wanted, or when somebody is marked after it has sent', async () => {
    const { scheduler, events, a, b } = stage();
    a.again = 1;
    a.onSendOut = () => scheduler.mark(b);
    scheduler.mark(b);
    scheduler.mark(a);
    await turns(1);
    expect(events).toEqual(['b in', 'a in', 'a out', 'b out']);
    a.onSendOut = undefined;
    await turns(2);
    expect(events.slice(4)).toEqual(['a in', 'a out']);
  });

  it('keep nobody waiting who has little to send, whatever others have', async () => {
    const { scheduler, events, clock, a } = stage();
    const heavy = Array.from({ length: 10 }, (_, index) => new Taker(`heavy${index}`, events));
    for (const one of heavy) {
      one.again = 50;
      one.onSendOut = () => clock.advance(1);
      scheduler.mark(one);
    }
    await turns(3);
    events.length = 0;
    for (const one of heavy) scheduler.mark(one);
    scheduler.mark(a);
    for (const one of heavy) scheduler.mark(one);
    await turns(1);
    const sent = events.filter((event) => event.endsWith('out'));
    expect([sent[0], sent.length]).toEqual(['a out', 3]);
  });

  it('come to everybody in line, first come first, and leave none out', async () => {
    const { scheduler, events, clock } = stage();
    const heavy = Array.from({ length: 10 }, (_, index) => new Taker(`heavy${index}`, events));
    for (const one of heavy) {
      one.again = 3;
      one.onSendOut = () => clock.advance(1);
      scheduler.mark(one);
    }
    await turns(40);
    const sent = (one: number) => events.filter((event) => event === `heavy${one} out`).length;
    expect(heavy.map((_, index) => sent(index))).toEqual(heavy.map(() => 4));
    expect(heavy.some(({ dirty, inLine }) => dirty || inLine)).toBe(false);
  });

  it('let who sent much the last time wait for its place in line', async () => {
    const { scheduler, events, a, b } = stage();
    a.done = 'much';
    scheduler.mark(a);
    await turns(1);
    events.length = 0;
    scheduler.mark(b);
    scheduler.mark(a);
    await turns(1);
    expect(events).toEqual(['b in', 'a in', 'b out', 'a out']);
  });

  it('let one in line take in what arrives meanwhile, and go on in its place', async () => {
    const { scheduler, events, clock, a, b } = stage();
    a.again = 5;
    a.onSendOut = () => clock.advance(5);
    scheduler.mark(a);
    await turns(1);
    events.length = 0;
    b.onSendOut = () => scheduler.mark(a);
    scheduler.mark(b);
    await turns(1);
    expect(events).toEqual(['b in', 'a in', 'b out', 'a out']);
  });
});
