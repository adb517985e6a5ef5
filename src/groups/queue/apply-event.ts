import type { Lot } from './lot.ts';
import type { OffsetRun, QueueEvent } from './queue-event.ts';
import type { QueueState } from './queue-state.ts';

/** Does to a state what an event says. Leases end never until they are renewed. @throws RangeError for records that were offered before */
export function applyEvent(state: QueueState, event: QueueEvent): void {
  switch (event.kind) {
    case 'advanced':
    case 'offered':
    case 'offered-each':
      grown(state, event);
      break;
    case 'granted':
      granted(state, event.runs, event.grant, event.leaseMs);
      break;
    case 'done':
      each(state, event.runs, (lot, { first, end }) => state.finish(lot, first, end));
      break;
    case 'move-begun':
      state.beginMove(event.move);
      break;
    case 'move-done':
      state.endMove(event.id);
      break;
    case 'move-cancelled':
      state.cancelMove(event.id);
      break;
    default:
      settled(state, event);
  }
}

/** Those at the cursor. */
function grown(
  state: QueueState,
  event: Extract<QueueEvent, { kind: 'advanced' | 'offered' | 'offered-each' }>,
): void {
  if (event.kind === 'advanced') {
    state.skipTo(event.cursor);
  } else if (event.kind === 'offered') {
    state.offer(event.first, event.end);
  } else {
    for (const record of event.records) state.offerOne(record);
    state.skipTo(event.end);
  }
}

function granted(state: QueueState, runs: readonly OffsetRun[], grant: number, leaseMs: number): void {
  each(state, runs, (lot, { first, end }) => {
    if (lot.shelf === 'leased' || lot.shelf === 'moving') return;
    state.lease(state.lift(lot, first, end), grant, leaseMs, Infinity);
  });
}

/** Those of leases. */
function settled(
  state: QueueState,
  event: Extract<QueueEvent, { kind: 'retried' | 'extended' | 'died' }>,
): void {
  each(state, event.runs, (whole, { first, end }) => {
    if (whole.shelf !== 'leased') return;
    const lot = state.lift(whole, first, end);
    if (event.kind === 'retried') state.retry(lot, event.availableAtMs, event.released);
    else if (event.kind === 'died') state.die(lot, event.reason, event.text);
    else state.renew(lot, event.leaseMs, Infinity);
  });
}

function each(
  state: QueueState,
  runs: readonly OffsetRun[],
  change: (lot: Lot, run: OffsetRun) => void,
): void {
  for (const run of runs) for (const lot of state.lots.within(run.first, run.end)) change(lot, run);
}
