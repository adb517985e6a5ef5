/** Three nodes and one etcd: they find each other, tell clients of each other, and notice who is gone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterNode, ClusterStatus } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { ClusterStage, LEASE_TTL_MS } from './stage.ts';

const ALL = ['n1', 'n2', 'n3'];

describe('three nodes', () => {
  let stage: ClusterStage;
  beforeAll(async () => {
    stage = await ClusterStage.start({ envOf: (id) => ({ SLUICE_CLUSTER_ZONE: `zone-${id}` }) });
  });
  afterAll(() => stage[Symbol.asyncDispose]());

  const readiness = async (id: string): Promise<{ status: number; reasons: string[] }> => {
    const answer = await fetch(`http://127.0.0.1:${stage.node(id).process.httpPort}/readyz`);
    return { status: answer.status, ...((await answer.json()) as { reasons: string[] }) };
  };
  const metric = async (id: string, name: string): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${stage.node(id).process.httpPort}/metrics`);
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(await answer.text())?.[1]);
  };
  const sees = async (id: string): Promise<string[]> =>
    (await stage.status(id)).nodes.map((node) => node.nodeId);

  it('show each other, with what each says of itself', async () => {
    const nodes = (await stage.json(['cluster', 'nodes'])) as ClusterNode[];
    expect(nodes.map(({ nodeId, zone, draining }) => [nodeId, zone, draining])).toEqual(
      ALL.map((id) => [id, `zone-${id}`, false]),
    );
    for (const { nodeId, clientUrls, peerAddress } of nodes) {
      const { process, peerRelay } = stage.node(nodeId);
      expect([clientUrls[0], peerAddress]).toEqual([process.url, `127.0.0.1:${peerRelay.port}`]);
    }
    const status = (await stage.json(['cluster', 'status'], ['n2'])) as ClusterStatus;
    expect([status.nodeId, status.leaseHeld]).toEqual(['n2', true]);
    expect(new Set(await Promise.all(ALL.map(async (id) => (await stage.status(id)).clusterId))).size).toBe(
      1,
    );
  });

  it('are shown as a table', async () => {
    const { stdout } = await stage.sluice(['cluster', 'nodes']);
    expect(stdout).toMatch(/^NODE +ZONE +STATE .*\nn1 +zone-n1 +up.*\nn2 .*\nn3 /);
  });

  it('are ready, and count each other', async () => {
    expect(await readiness('n1')).toEqual({ status: 200, ready: true, reasons: [] });
    expect(await metric('n1', 'sluice_cluster_nodes')).toBe(3);
    expect(await metric('n1', 'sluice_cluster_lease_held')).toBe(1);
  });

  it('are dialled in turn by a command that knows all of them', async () => {
    await stage.node('n1').process.kill('SIGKILL');
    await stage.json(['cluster', 'status']);
    await stage.node('n1').process.restart();
    await stage.untilMembers(ALL);
  });

  it('are two when the lease of one that was killed has ended, and three when it is back', async () => {
    const { process } = stage.node('n3');
    await process.kill('SIGKILL');
    expect(await sees('n1')).toContain('n3');
    await eventually('two members', async () => (await sees('n1')).join() === 'n1,n2', 5 * LEASE_TTL_MS);
    await process.restart();
    await stage.untilMembers(ALL);
  });

  it('are two at once when one leaves in order, and its clients go to another', async () => {
    const client = await stage.connect(['n2']);
    const goaways: string[] = [];
    client.on('goaway', ({ url }) => goaways.push(url));
    const { process } = stage.node('n2');
    expect(await process.kill('SIGTERM')).toBe(0);
    expect(await sees('n1')).toEqual(['n1', 'n3']);
    const others = ['n1', 'n3'].map((id) => stage.node(id).process);
    const urls = others.flatMap(({ url, quicPort, tlsPort }) => [
      url,
      `tls://127.0.0.1:${tlsPort || quicPort}`,
    ]);
    await eventually('another node', () => urls.includes(client.connection?.url ?? ''));
    expect(goaways).toEqual([process.url]);
    await process.restart();
    await stage.untilMembers(ALL);
  });

  it('are two while one hears nothing of etcd, which is not ready then', async () => {
    stage.silenceEtcd('n1');
    await eventually('n1 is not ready', async () => (await readiness('n1')).reasons.length === 2);
    expect([(await readiness('n1')).status, (await stage.status('n1')).leaseHeld]).toEqual([503, false]);
    await eventually('two members', async () => (await sees('n2')).join() === 'n2,n3');
    stage.resumeEtcd('n1');
    await stage.untilMembers(ALL);
    await eventually('n1 is ready', async () => (await readiness('n1')).status === 200);
    expect(await metric('n1', 'sluice_cluster_leases_lost_total')).toBe(1);
  });

  it('are two while one is frozen, which joins again when it goes on', async () => {
    const { process } = stage.node('n2');
    process.freeze();
    await eventually('two members', async () => (await sees('n1')).join() === 'n1,n3');
    process.thaw();
    await stage.untilMembers(ALL);
  });

  it('hand over when they are told to, and take their share again', async () => {
    const drained = async (): Promise<boolean> =>
      (await stage.status('n1')).nodes.find(({ nodeId }) => nodeId === 'n3')!.draining;
    expect(await stage.json(['cluster', 'drain', 'n3'], ['n1'])).toEqual({ nodeId: 'n3', draining: true });
    await eventually('n3 drains', drained);
    expect(await stage.json(['cluster', 'drain', 'n3', '--cancel'], ['n1'])).toEqual({
      nodeId: 'n3',
      draining: false,
    });
    await eventually('n3 takes its share', async () => !(await drained()));
    expect(await stage.json(['cluster', 'rebalance'])).toMatchObject({ requested: true });
    const { exitCode, stderr } = await stage.sluice(['cluster', 'drain', 'n9']);
    expect([exitCode, stderr]).toEqual([5, expect.stringContaining('NODE_NOT_FOUND')]);
  });
});

it('a node with the certificate of another one does not start', async () => {
  await using stage = await ClusterStage.start({ nodes: ['n1'] });
  const { SLUICE_PEER_TLS_CERTIFICATE, SLUICE_PEER_TLS_KEY } = await stage.certificatesOf('n1');
  const files = {
    SLUICE_PEER_TLS_CERTIFICATE: SLUICE_PEER_TLS_CERTIFICATE!,
    SLUICE_PEER_TLS_KEY: SLUICE_PEER_TLS_KEY!,
  };
  await expect(stage.add('n2', files)).rejects.toThrow(/INVALID_CONFIG.*peer\.tls\.certificate/s);
});

it('a node whose name is taken does not start', async () => {
  await using stage = await ClusterStage.start({ nodes: ['n1'] });
  await expect(stage.add('n2', { SLUICE_NODE_ID: 'n1' })).rejects.toThrow(/INVALID_CONFIG.*node\.id/s);
  expect((await stage.status('n1')).leaseHeld).toBe(true);
});
