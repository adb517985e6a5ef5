import { numberToWire } from '../../../wire/offset.ts';
import type { RequestHandlers } from './handler.ts';

/** Requests about the node. */
export const statusHandlers: RequestHandlers<'nodeStatus'> = {
  nodeStatus(session) {
    const { broker, node, counters } = session.context;
    const status = broker.status(session.requireIdentity());
    return {
      nodeId: status.nodeId,
      clusterId: status.clusterId,
      software: node.software,
      uptimeMs: numberToWire(status.uptimeMs),
      connections: session.context.connectionCount(),
      subscriptions: status.subscriptions,
      topics: status.topics,
      partitions: status.partitions,
      recordsIn: numberToWire(status.recordsIn),
      bytesIn: numberToWire(status.bytesIn),
      bytesOut: numberToWire(counters.deliveredBytes),
      retainedBytes: numberToWire(status.retainedBytes),
      rssBytes: numberToWire(process.memoryUsage.rss()),
      draining: status.draining,
    };
  },
};
