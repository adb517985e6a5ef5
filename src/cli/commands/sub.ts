import type { Subscription, SubscribeOptions } from '../../client/index.ts';
import { withClient } from '../connection.ts';
import type { ConnectionFlags } from '../connection.ts';
import { Ending } from '../ending.ts';
import type { EndingFlags } from '../ending.ts';
import { gapNote, noteIfMissing } from '../records/reading-notes.ts';
import { printerFor } from '../records/record-format.ts';
import type { PrintFlags, RecordPrinter } from '../records/record-format.ts';
import { parseStart } from '../records/start-position.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice sub`. */
export interface SubFlags extends ConnectionFlags, EndingFlags, PrintFlags {
  readonly from: string;
  readonly delivery: NonNullable<SubscribeOptions['delivery']>;
  readonly onGap: NonNullable<SubscribeOptions['onGap']>;
  readonly urgency?: number;
  readonly name?: string;
}

/**
 * Prints what a subscription brings until the count is reached, time is up, somebody interrupts, or nobody reads any more.
 *
 * @returns 6 when time was up before the count was reached, 130 or 143 after an interrupt
 * @throws what the node refuses the subscription with; GAP with `--on-gap end`
 */
export async function sub(filter: string, flags: SubFlags, terminal: Terminal): Promise<number | undefined> {
  const options: SubscribeOptions = {
    from: parseStart(flags.from, terminal.clock),
    delivery: flags.delivery,
    onGap: flags.onGap,
    ...(flags.urgency !== undefined && { urgency: flags.urgency }),
    ...(flags.name !== undefined && { name: flags.name }),
  };
  const ending = new Ending(flags, terminal);
  const print = printerFor(flags, terminal);
  return withClient(terminal, flags, async (client) => {
    const isQuiet = flags.quiet === true;
    const tellMissing = await noteIfMissing(client, filter, terminal, isQuiet);
    const subscription = await client.subscribe(filter, options);
    tellMissing();
    if (!isQuiet) note(subscription, terminal);
    return ending.run(
      () => void subscription.close(),
      () => printRecords(subscription, flags.count, print, terminal),
    );
  });
}

async function printRecords(
  subscription: Subscription,
  limit: number | undefined,
  print: RecordPrinter,
  terminal: Terminal,
): Promise<number> {
  let printed = 0;
  for await (const batch of subscription.batches()) {
    const lines: Uint8Array[] = [];
    for (const record of batch) {
      lines.push(print(record));
      printed += 1;
      if (printed === limit) break;
    }
    if (!terminal.stdout.write(Buffer.concat(lines))) await terminal.stdout.drained();
    if (printed === limit) break;
  }
  return printed;
}

/** What a person wants to know while records flow, on stderr. */
function note(subscription: Subscription, terminal: Terminal): void {
  subscription.on('gap', (gap) => terminal.stderr.line(gapNote(gap)));
  subscription.on('status', (status) => {
    if (status.kind === 'disconnected')
      terminal.stderr.line(`sluice: connection lost (${status.error.code}); trying again`);
    if (status.kind === 'resumed') terminal.stderr.line('sluice: connected again; nothing was lost');
    if (status.kind === 'partition-ended') terminal.stderr.line(`sluice: topic ${status.topic} was deleted`);
  });
}
