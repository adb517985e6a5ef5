import type { RequestHandlers } from './handler.ts';

/** Requests about the cluster. */
export const clusterHandlers: RequestHandlers<'clusterStatus' | 'drainNode' | 'rebalance'> = {
  clusterStatus(session) {
    const { nodes, controllerId, ...status } = session.context.broker.cluster.status(
      session.requireIdentity(),
    );
    return {
      ...status,
      controllerId: controllerId ?? '',
      nodes: nodes.map(({ clientUrls, peerAddress, ...node }) => ({
        ...node,
        clientUrls: [...clientUrls],
        peerAddress: peerAddress ?? '',
      })),
    };
  },
  async drainNode(session, { nodeId, cancel }) {
    const { cluster } = session.context.broker;
    const onlyCopies = await cluster.drain(session.requirePrincipal(), nodeId, !cancel);
    return { onlyCopies: [...onlyCopies] };
  },
  async rebalance(session) {
    await session.context.broker.cluster.rebalance(session.requirePrincipal());
    return {};
  },
};
