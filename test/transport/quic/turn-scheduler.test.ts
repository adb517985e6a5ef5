import { describe, expect, it } from 'vitest';
import type { TurnTaker } from '../../../src/transport/quic/turn-scheduler.ts';
import { TurnScheduler } from '../../../src/transport/quic/turn-scheduler.ts';
import { turns } from '../../support/turns.ts';

class Taker implements TurnTaker {
  dirty = false;
  again = 0;
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

  sendOut(): boolean {
    this.#events.push(`${this.#name} out`);
    this.onSendOut?.();
    return this.again-- > 0;
  }
}

function stage() {
  const events: string[] = [];
  return {
    events,
    scheduler: new TurnScheduler(),
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
});
