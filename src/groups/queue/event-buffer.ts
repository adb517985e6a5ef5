import { RUN_MAX_RECORDS, type DeadReason, type OffsetRun, type QueueEvent } from './queue-event.ts';

/** Events that are not stored yet. One that goes on where the last one ended, and says the same, makes that one longer. */
export class EventBuffer {
  #events: QueueEvent[] = [];

  drain(): QueueEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  add(event: QueueEvent): void {
    this.#events.push(event);
  }

  offered(first: number, end: number): void {
    const last = this.#last();
    const follows = last?.kind === 'offered' && last.end === first && end - last.first <= RUN_MAX_RECORDS;
    if (follows) this.#events.pop();
    this.add({ kind: 'offered', first: follows ? last.first : first, end });
  }

  done(first: number, end: number): void {
    const last = this.#last();
    if (last?.kind === 'done') extendRuns(last.runs, first, end);
    else this.add({ kind: 'done', runs: [{ first, end }] });
  }

  retried(first: number, end: number, availableAtMs: number, released: boolean): void {
    const last = this.#last();
    const same =
      last?.kind === 'retried' && last.availableAtMs === availableAtMs && last.released === released;
    if (same) extendRuns(last.runs, first, end);
    else this.add({ kind: 'retried', runs: [{ first, end }], availableAtMs, released });
  }

  extended(first: number, end: number, leaseMs: number): void {
    const last = this.#last();
    if (last?.kind === 'extended' && last.leaseMs === leaseMs) extendRuns(last.runs, first, end);
    else this.add({ kind: 'extended', runs: [{ first, end }], leaseMs });
  }

  died(first: number, end: number, reason: DeadReason, text: string): void {
    const last = this.#last();
    const same = last?.kind === 'died' && last.reason === reason && last.text === text;
    if (same) extendRuns(last.runs, first, end);
    else this.add({ kind: 'died', runs: [{ first, end }], reason, text });
  }

  #last(): QueueEvent | undefined {
    return this.#events[this.#events.length - 1];
  }
}

/** Adds a run behind others; it becomes part of the last one where it begins at its end. */
export function extendRuns(runs: OffsetRun[], first: number, end: number): void {
  const last = runs[runs.length - 1];
  if (last?.end === first) runs[runs.length - 1] = { first: last.first, end };
  else runs.push({ first, end });
}
