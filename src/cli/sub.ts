import { parseFilter } from '../catalog/topic-filter.ts';
import type { Client, Subscription, SubscribeOptions } from '../client/index.ts';
import { asSluiceError, SluiceError } from '../kernel/errors.ts';
import { quantity } from '../kernel/quantity.ts';
import { withClient } from './connection.ts';
import type { ConnectionFlags } from './connection.ts';
import { exitInterrupted } from './exit-codes.ts';
import { count } from './format.ts';
import { recordPrinter } from './record-format.ts';
import type { RecordFormat } from './record-format.ts';
import { parseStart } from './start-position.ts';
import type { Terminal } from './terminal.ts';
import { durationOption } from './units.ts';

/** Options of `sluice sub`. */
export interface SubFlags extends ConnectionFlags {
  readonly from: string;
  readonly count?: number;
  readonly timeout?: string;
  readonly output: RecordFormat;
  readonly keySeparator?: string;
  readonly delivery: NonNullable<SubscribeOptions['delivery']>;
  readonly onGap: NonNullable<SubscribeOptions['onGap']>;
  readonly urgency?: number;
  readonly name?: string;
  readonly quiet?: true;
}

/** Why a subscription was ended from here. */
type Ending = 'timeout' | 'interrupted' | 'reader gone';

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
  const timeoutMs = flags.timeout === undefined ? undefined : durationOption('--timeout', flags.timeout);
  const print = printer(flags, terminal);
  return withClient(terminal, flags, async (client) => {
    const missing = flags.quiet === true ? undefined : await missingTopic(client, filter);
    const subscription = await client.subscribe(filter, options);
    if (missing !== undefined)
      terminal.stderr.line(`sluice: there was no topic ${missing}; it was created, and waits for records`);
    if (flags.quiet !== true) note(subscription, terminal);
    const ending = endWhenTold(subscription, terminal, timeoutMs);
    const printed = await printRecords(subscription, flags.count, print, terminal);
    ending.dispose();
    if (ending.why === 'interrupted') return exitInterrupted(terminal.interrupted);
    if (ending.why === 'timeout' && flags.count !== undefined) {
      throw new SluiceError(
        'TIMEOUT',
        `${count(printed)} of ${quantity(flags.count, 'record')} came within ${flags.timeout!}`,
      );
    }
    return undefined;
  });
}

/** The topic that a filter names, when there is none of that name: a subscription to it creates it. */
async function missingTopic({ admin }: Client, filter: string): Promise<string | undefined> {
  const { topic } = parseFilter(filter);
  if (topic === undefined) return undefined;
  try {
    await admin.describeTopic(topic);
    return undefined;
  } catch (error) {
    // Whatever else is wrong the subscription says.
    return asSluiceError(error).code === 'TOPIC_NOT_FOUND' ? topic : undefined;
  }
}

async function printRecords(
  subscription: Subscription,
  limit: number | undefined,
  print: ReturnType<typeof recordPrinter>,
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

function printer(flags: SubFlags, terminal: Terminal): ReturnType<typeof recordPrinter> {
  if (flags.keySeparator !== undefined && flags.output !== 'value') {
    throw new SluiceError('INVALID_ARGUMENT', '--key-separator belongs to -o value.');
  }
  if (flags.output === 'raw' && terminal.stdout.isTTY && flags.quiet !== true) {
    terminal.stderr.line('sluice: raw bytes go to this terminal; -o value prints lines');
  }
  return recordPrinter(flags.output, flags.keySeparator);
}

/** Closes the subscription at the first reason to; `why` says which it was. */
function endWhenTold(
  subscription: Subscription,
  terminal: Terminal,
  timeoutMs: number | undefined,
): { why?: Ending; dispose(): void } {
  const ending: { why?: Ending; dispose(): void } = { dispose: () => undefined };
  const end = (why: Ending): void => {
    ending.why ??= why;
    void subscription.close();
  };
  const timer =
    timeoutMs === undefined ? undefined : terminal.clock.setTimer(timeoutMs, () => end('timeout'));
  ending.dispose = () => timer?.cancel();
  onAbort(terminal.interrupted, () => end('interrupted'));
  onAbort(terminal.stdout.closed, () => end('reader gone'));
  return ending;
}

/** What a person wants to know while records flow, on stderr. */
function note(subscription: Subscription, terminal: Terminal): void {
  subscription.on('gap', ({ topic, partition, from, to, reason }) => {
    terminal.stderr.line(
      `sluice: gap: ${quantity(to - from, 'record')} gone from ${topic}/${partition} (offsets ${from} to ${to - 1}, ${reason})`,
    );
  });
  subscription.on('status', (status) => {
    if (status.kind === 'disconnected')
      terminal.stderr.line(`sluice: connection lost (${status.error.code}); trying again`);
    if (status.kind === 'resumed') terminal.stderr.line('sluice: connected again; nothing was lost');
    if (status.kind === 'partition-ended') terminal.stderr.line(`sluice: topic ${status.topic} was deleted`);
  });
}

function onAbort(signal: AbortSignal, callback: () => void): void {
  if (signal.aborted) callback();
  else signal.addEventListener('abort', callback, { once: true });
}
