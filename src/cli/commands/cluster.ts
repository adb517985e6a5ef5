import type { Client, ClusterNode, ClusterStatus, OnlyCopies } from '../../client/index.ts';
import { delay } from '../../kernel/clock.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import { withClient } from '../connection.ts';
import type { AdminFlags } from '../declare/declare-options.ts';
import { facts, table } from '../format.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption } from '../units.ts';

/** Options of `sluice cluster drain`. */
export interface DrainFlags extends AdminFlags {
  readonly cancel?: true;
  readonly timeout: string;
}

const LOOK_MS = 200;

/** Shows the cluster as the node that answers sees it. */
export function clusterStatus(flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const status = await admin.clusterStatus();
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(status) : statusText(status));
  });
}

/** Lists the members of the cluster. */
export function clusterNodes(flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const status = await admin.clusterStatus();
    terminal.stdout.line(flags.output === 'json' ? JSON.stringify(status.nodes) : nodeTable(status));
  });
}

/**
 * Makes a node hand over what it leads, and waits until it leads nothing; with `--cancel` it takes its share again. What it cannot hand over is said at once
 * and not waited for.
 * @throws NODE_NOT_FOUND; ONLY_COPY when it leads only what no other node has a copy of; TIMEOUT when it still leads something else by then
 */
export function drainNode(nodeId: string, flags: DrainFlags, terminal: Terminal): Promise<void> {
  const timeoutMs = durationOption('--timeout', flags.timeout);
  return withClient(terminal, flags, async (client) => {
    const draining = flags.cancel !== true;
    const stuck = await atNode(nodeId, client, flags, terminal, ({ admin }) =>
      admin.drainNode(nodeId, draining),
    );
    if (stuck.length > 0) terminal.stderr.line(`sluice: ${stuckText(nodeId, stuck)}`);
    if (draining) await untilItLeadsNothing(nodeId, client, timeoutMs, terminal);
    terminal.stdout.line(
      flags.output === 'json'
        ? JSON.stringify({ nodeId, draining })
        : `${nodeId} ${draining ? 'leads nothing any more' : 'takes its share again'}`,
    );
  });
}

/** Asks for partitions to be spread over the nodes; `sluice cluster status` says when that is done. */
export function rebalance(flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    await admin.rebalance();
    const { controllerId } = await admin.clusterStatus();
    terminal.stdout.line(
      flags.output === 'json'
        ? JSON.stringify({ requested: true, controllerId })
        : 'asked for; sluice cluster status says when it is done',
    );
  });
}

/** Asks one node: over the connection there is, or one of its own. */
async function atNode<T>(
  nodeId: string,
  client: Client,
  flags: AdminFlags,
  terminal: Terminal,
  ask: (client: Client) => Promise<T>,
): Promise<T> {
  if (client.connection?.nodeId === nodeId) return ask(client);
  const { nodes } = await client.admin.clusterStatus();
  const node = nodes.find((one) => one.nodeId === nodeId);
  if (!node) throw new SluiceError('NODE_NOT_FOUND', `no node ${nodeId} is a member of the cluster`);
  if (node.clientUrls.length === 0) throw new SluiceError('UNAVAILABLE', `${nodeId} takes no clients yet`);
  let answer: T;
  await withClient(terminal, { ...flags, server: node.clientUrls.join(',') }, async (there) => {
    answer = await ask(there);
  });
  return answer!;
}

/** What a node cannot hand over, why, and what helps. */
function stuckText(nodeId: string, stuck: readonly OnlyCopies[]): string {
  const topics = stuck.map(({ topic, partitions }) => `${topic} (${quantity(partitions, 'partition')})`);
  return `no other node has a copy of what ${nodeId} leads of ${topics.join(', ')}: it goes on leading that`;
}

async function untilItLeadsNothing(
  nodeId: string,
  { admin }: Client,
  timeoutMs: number,
  { clock, interrupted }: Terminal,
): Promise<void> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const { nodes } = await admin.clusterStatus();
    const { leads = 0, onlyCopies = 0 } = nodes.find((node) => node.nodeId === nodeId) ?? {};
    if (leads === 0) return;
    if (leads === onlyCopies) {
      throw new SluiceError(
        'ONLY_COPY',
        `${nodeId} goes on draining and leading ${quantity(leads, 'partition')} that no other node has a copy of`,
      );
    }
    if (interrupted.aborted) throw new SluiceError('CANCELLED', `interrupted; ${nodeId} goes on draining`);
    if (clock.monotonicMs() >= deadlineMs) {
      throw new SluiceError(
        'TIMEOUT',
        `${nodeId} still leads ${quantity(leads, 'partition')} and goes on handing over; look with sluice cluster nodes`,
      );
    }
    await delay(clock, LOOK_MS);
  }
}

function statusText(status: ClusterStatus): string {
  const about = facts([
    ['cluster', status.clusterId],
    ['asked', `${status.nodeId}${status.leaseHeld ? '' : ' (no member at the moment: it has no lease)'}`],
    ['controller', status.controllerId ?? 'none'],
    ['partitions', status.partitions],
    ['without leader', status.leaderless],
    ['with copies behind', status.underReplicated],
    ...(status.rebalancing ? [['rebalance', 'under way'] as const] : []),
  ]);
  return `${about}\n\n${nodeTable(status)}`;
}

function nodeTable({ nodes, controllerId }: ClusterStatus): string {
  const rows = nodes.map((node) => [
    node.nodeId,
    node.zone,
    stateOf(node, controllerId),
    node.capacity,
    node.leads,
    node.replicas,
    node.outOfSync,
    node.clientUrls.join(' '),
    node.software,
  ]);
  const headings = ['NODE', 'ZONE', 'STATE', 'CAPACITY', 'LEADS', 'COPIES', 'BEHIND', 'CLIENTS', 'SOFTWARE'];
  return table(headings, rows);
}

function stateOf({ nodeId, draining, clientUrls }: ClusterNode, controllerId: string | undefined): string {
  const state = clientUrls.length === 0 ? 'starting' : draining ? 'draining' : 'up';
  return nodeId === controllerId ? `${state}, controller` : state;
}
