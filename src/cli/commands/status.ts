import type { Client, SubscriptionStatus } from '../../client/index.ts';
import { delay } from '../../kernel/clock.ts';
import { withClient } from '../connection.ts';
import type { AdminFlags } from '../declare/declare-options.ts';
import { bytes, duration, facts, table } from '../format.ts';
import type { Terminal } from '../terminal.ts';
import { topicTable } from './topic.ts';

/** Options of `sluice status`. */
export interface StatusFlags extends AdminFlags {
  readonly watch?: true;
}

const WATCH_MS = 2000;

/** Shows the node, its topics, and each subscription and partition with its lag. */
export function status(flags: StatusFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async (client) => {
    const clear = terminal.stdout.isTTY && flags.watch === true ? '\x1b[H\x1b[2J' : '';
    const over = AbortSignal.any([terminal.interrupted, terminal.stdout.closed]);
    do {
      terminal.stdout.line(clear + (await report(client, flags)));
      if (flags.watch === true) await Promise.race([delay(terminal.clock, WATCH_MS), aborted(over)]);
    } while (flags.watch === true && !over.aborted);
  });
}

async function report({ admin }: Client, flags: StatusFlags): Promise<string> {
  const [node, topics, subscriptions] = await Promise.all([
    admin.nodeStatus(),
    admin.listTopics(),
    admin.listSubscriptions(),
  ]);
  if (flags.output === 'json') return JSON.stringify({ node, topics, subscriptions });
  const about = facts([
    ['node', `${node.nodeId}${node.draining ? ' (draining)' : ''}`],
    ['cluster', node.clusterId],
    ['software', node.software],
    ['up', duration(node.uptimeMs)],
    ['connections', node.connections],
    ['records in', node.recordsIn],
    ['bytes in', bytes(node.bytesIn)],
    ['bytes out', bytes(node.bytesOut)],
    ['retained', bytes(node.retainedBytes)],
    ['memory', bytes(node.rssBytes)],
  ]);
  return `${about}\n\n${topicTable(topics)}\n\n${subscriptionTable(subscriptions)}`;
}

function subscriptionTable(subscriptions: readonly SubscriptionStatus[]): string {
  const rows = subscriptions.map((one) => [
    one.name === '' ? one.filter : one.name,
    one.clientId,
    `${one.topic}/${one.partition}`,
    one.nextOffset,
    one.lagRecords,
    bytes(one.lagBytes),
    duration(one.lagMs),
    duration(one.blockedMs),
    one.gapRecords,
    one.paused ? 'paused' : one.delivery,
  ]);
  return table(
    [
      'SUBSCRIPTION',
      'CLIENT',
      'PARTITION',
      'NEXT',
      'LAG',
      'LAG BYTES',
      'LAG TIME',
      'BLOCKED',
      'LOST',
      'DELIVERY',
    ],
    rows,
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
