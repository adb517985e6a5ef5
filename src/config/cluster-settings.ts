import type { ListenAddress } from './kinds.ts';
import type { ParsedConfig } from './schema/schema.ts';

/** PEM files of certificate and key. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** What makes a node one of a cluster. */
export interface ClusterSettings {
  readonly name: string;
  readonly etcd: {
    /** At least one. */
    readonly endpoints: readonly string[];
    /** Null: plain http. */
    readonly caFile: string | null;
    readonly certificateFiles: CertificateFiles | null;
    readonly username: string | null;
    readonly passwordFile: string | null;
  };
  /** Whole seconds. */
  readonly leaseTtlMs: number;
  /** Empty: not said. */
  readonly zone: string;
  readonly capacity: number;
  readonly peer: {
    readonly listen: ListenAddress;
    /** Where other nodes reach this one; null: where it listens. */
    readonly advertise: ListenAddress | null;
    readonly certificateFiles: CertificateFiles;
    readonly caFile: string;
  };
}

/** Whether the node is one of a cluster. */
export function isClustered({ cluster }: Pick<ParsedConfig, 'cluster'>): boolean {
  return cluster.etcd.endpoints.length > 0;
}

/** What a node has to know of its cluster. @returns null for a node on its own */
export function toClusterSettings({ cluster, peer }: ParsedConfig): ClusterSettings | null {
  const peerFiles = filesOf(peer.tls);
  if (!isClustered({ cluster }) || peerFiles === null || peer.tls.ca === null) return null;
  const { endpoints, ca, username, passwordFile } = cluster.etcd;
  return {
    name: cluster.name,
    etcd: { endpoints, caFile: ca, certificateFiles: filesOf(cluster.etcd), username, passwordFile },
    leaseTtlMs: cluster.leaseTtl,
    zone: cluster.zone,
    capacity: cluster.capacity,
    peer: {
      listen: peer.listen,
      advertise: peer.advertise,
      certificateFiles: peerFiles,
      caFile: peer.tls.ca,
    },
  };
}

/** The files of a certificate and its key. @returns null unless both are named */
export function filesOf(named: {
  readonly certificate: string | null;
  readonly key: string | null;
}): CertificateFiles | null {
  const { certificate, key } = named;
  return certificate === null || key === null ? null : { certificate, key };
}

/** Copies of each partition of a topic, and how many of them have to be in sync. */
export interface Replication {
  readonly replicationFactor: number;
  readonly minInsync: number;
}

/** The same as it is written; null: what suits. */
interface ConfiguredReplication {
  readonly replicationFactor: number | null;
  readonly minInsync: number | null;
}

/** Copies of a partition that nobody configured, and how many of them have to be in sync. */
export function replicationDefaults(config: Pick<ParsedConfig, 'topics' | 'cluster'>): Replication {
  return replicationOf(config.topics.defaults, config);
}

/** The same of the topic with the state of groups and queues. */
export function groupReplication(config: Pick<ParsedConfig, 'groups' | 'cluster'>): Replication {
  return replicationOf(config.groups, config);
}

function replicationOf(
  { replicationFactor, minInsync }: ConfiguredReplication,
  config: Pick<ParsedConfig, 'cluster'>,
): Replication {
  const copies = replicationFactor ?? (isClustered(config) ? 3 : 1);
  return { replicationFactor: copies, minInsync: minInsync ?? Math.min(2, copies) };
}
