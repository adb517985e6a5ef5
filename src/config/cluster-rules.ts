import type { Replication } from './cluster-settings.ts';
import { groupReplication, isClustered, replicationDefaults } from './cluster-settings.ts';
import type { ConfigFault } from './config-fault.ts';
import type { ListenAddress } from './kinds.ts';
import type { ParsedConfig } from './schema/schema.ts';

/** What is wrong between settings of a cluster. */
export function* clusterFaults(config: ParsedConfig): Generator<ConfigFault> {
  yield* replicationFaults(config);
  yield* etcdFaults(config.cluster.etcd);
  if (config.cluster.leaseTtl % 1000 !== 0) {
    yield { path: 'cluster.leaseTtl', message: 'must be whole seconds: etcd grants no other leases' };
  }
  if (isClustered(config)) yield* memberFaults(config);
  else yield* aloneFaults(config);
}

/** Addresses that stand for every interface: nobody can connect to them. */
export function isEveryInterface({ host }: ListenAddress): boolean {
  return host === '0.0.0.0' || host === '::';
}

function* replicationFaults(config: ParsedConfig): Generator<ConfigFault> {
  const sections = { 'topics.defaults': replicationDefaults(config), groups: groupReplication(config) };
  for (const [path, replication] of Object.entries(sections)) {
    yield* copiesFaults(path, replication, isClustered(config));
  }
}

function* copiesFaults(
  path: string,
  { replicationFactor, minInsync }: Replication,
  isOneOfMany: boolean,
): Generator<ConfigFault> {
  if (replicationFactor > 1 && !isOneOfMany) {
    yield {
      path: `${path}.replicationFactor`,
      message: 'must be 1 on a node on its own; in a cluster cluster.etcd.endpoints is set',
    };
  }
  if (minInsync > replicationFactor) {
    yield {
      path: `${path}.minInsync`,
      message: `must be at most ${path}.replicationFactor: no more copies can be in sync`,
    };
  }
}

function* etcdFaults(etcd: ParsedConfig['cluster']['etcd']): Generator<ConfigFault> {
  const schemes = new Set(etcd.endpoints.map((endpoint) => new URL(endpoint).protocol));
  const isSecure = schemes.has('https:');
  if (schemes.size > 1) yield { path: 'cluster.etcd.endpoints', message: 'must be all http or all https' };
  if (isSecure && etcd.ca === null) {
    yield { path: 'cluster.etcd.ca', message: 'is needed where cluster.etcd.endpoints are https' };
  }
  if ((etcd.certificate === null) !== (etcd.key === null)) {
    yield {
      path: 'cluster.etcd.key',
      message: 'cluster.etcd.certificate and cluster.etcd.key belong together: set both, or neither',
    };
  }
  if (schemes.has('http:') && (etcd.ca ?? etcd.certificate) !== null) {
    yield {
      path: 'cluster.etcd.endpoints',
      message: 'must be https where cluster.etcd.ca or cluster.etcd.certificate is set',
    };
  }
  if ((etcd.username === null) !== (etcd.passwordFile === null)) {
    yield {
      path: 'cluster.etcd.passwordFile',
      message: 'cluster.etcd.username and cluster.etcd.passwordFile belong together: set both, or neither',
    };
  }
}

function* memberFaults({ node, quic, tls, peer }: ParsedConfig): Generator<ConfigFault> {
  if (node.id === null) {
    yield { path: 'node.id', message: 'is needed in a cluster: a name that no other node has' };
  }
  for (const name of ['certificate', 'key', 'ca'] as const) {
    if (peer.tls[name] !== null) continue;
    yield {
      path: `peer.tls.${name}`,
      message: 'is needed in a cluster: nodes show each other certificates (sluice certs issue --node)',
    };
  }
  if (peer.advertise === null && isEveryInterface(peer.listen)) {
    yield {
      path: 'peer.advertise',
      message: 'is needed where peer.listen is every interface: other nodes are told where this one is',
    };
  }
  if (quic.advertise === null && isEveryInterface(quic.listen) && tls.names.length === 0) {
    yield {
      path: 'quic.advertise',
      message: 'is needed where quic.listen is every interface: other nodes tell clients where this one is',
    };
  }
}

/** What only a cluster has: a list of endpoints that was lost on the way must not make a node that keeps records for itself. */
function* aloneFaults({ cluster, peer }: ParsedConfig): Generator<ConfigFault> {
  const { ca, certificate, username } = cluster.etcd;
  const isSet = [ca, certificate, username, peer.tls.certificate, peer.tls.key, peer.tls.ca].some(
    (file) => file !== null,
  );
  if (!isSet) return;
  yield {
    path: 'cluster.etcd.endpoints',
    message: 'is empty, though other settings say that the node is one of a cluster (cluster.etcd, peer.tls)',
  };
}
