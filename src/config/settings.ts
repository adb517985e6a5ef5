import type { CertificateFiles, ClusterSettings } from './cluster-settings.ts';
import { filesOf, groupReplication, replicationDefaults, toClusterSettings } from './cluster-settings.ts';
import type { ListenAddress } from './kinds.ts';
import { isLoopback } from './loopback.ts';
import type { ParsedConfig } from './schema/schema.ts';

/** A rule of the access control list, as configured. */
export type ConfiguredRule = ParsedConfig['acl']['rules'][number];

/**
 * All settings of one node, ready to use: addresses taken apart, durations in milliseconds, sizes in bytes, null for what is
 * off. Frozen through and through.
 */
export interface Settings {
  readonly node: { readonly id: string };
  readonly dataDir: string;
  readonly quic: {
    readonly listen: ListenAddress;
    /** Where clients reach it; null: where it listens. */
    readonly advertise: ListenAddress | null;
  };
  readonly tls: {
    /** HTTP/2 fallback; null: not offered. */
    readonly listen: ListenAddress | null;
    /** Where clients reach it; null: where it listens. */
    readonly advertise: ListenAddress | null;
    /** Null: the node makes its own. */
    readonly certificateFiles: CertificateFiles | null;
    /** Names for the certificate the node makes itself: the configured ones and those of this machine. */
    readonly names: readonly string[];
    readonly clientCaFile: string | null;
    readonly requireClientCertificate: boolean;
  };
  /** Null: a node on its own. */
  readonly cluster: ClusterSettings | null;
  readonly http: {
    readonly listen: ListenAddress | null;
    readonly tls: boolean;
    /** Whether more than health and metrics is served. */
    readonly api: boolean;
    readonly origins: readonly string[];
    readonly bodyMaxBytes: number;
  };
  readonly grpc: {
    readonly listen: ListenAddress | null;
    /** Without TLS. */
    readonly plaintext: boolean;
  };
  readonly auth: {
    readonly mode: 'none' | 'required';
    readonly allowAnonymous: boolean;
    /** Secret. */
    readonly adminToken: string | null;
  };
  readonly acl: { readonly rules: readonly ConfiguredRule[] };
  readonly topics: {
    readonly autoCreate: boolean;
    readonly maxTopics: number;
    readonly maxPartitions: number;
    readonly defaults: {
      readonly partitions: number;
      readonly retentionBytes: number | null;
      readonly retentionAgeMs: number | null;
      readonly retentionRecords: number | null;
      readonly storage: 'memory' | 'disk';
      readonly flush: 'always' | 'interval' | 'os';
      readonly flushIntervalMs: number;
      readonly cleanup: 'delete' | 'compact' | 'compact,delete';
      readonly tombstoneRetentionMs: number;
      readonly replicationFactor: number;
      readonly minInsync: number;
    };
  };
  /** The topic with the state of consumer groups and queues. */
  readonly groups: {
    readonly partitions: number;
    readonly replicationFactor: number;
    readonly minInsync: number;
    readonly maxQueuePartitions: number;
    /** Null: what the heap allows. */
    readonly maxQueueStateBytes: number | null;
  };
  readonly storage: {
    /** Null: what the machine allows. */
    readonly memoryBytes: number | null;
    readonly tailBytes: number;
    readonly writeBytes: number;
    readonly indexCacheBytes: number;
    readonly openFiles: number;
    /** Null: by what a partition retains. */
    readonly segmentBytes: number | null;
  };
  readonly limits: {
    readonly maxFrameBytes: number;
    readonly batchMaxBytes: number;
    readonly inflatedMaxBytes: number;
    readonly keyMaxBytes: number;
    readonly maxConnections: number;
    readonly maxStreams: number;
    readonly streamWindowBytes: number;
    readonly idleTimeoutMs: number;
    /** 0: no keep-alive. */
    readonly keepAliveMs: number;
    readonly handshakeTimeoutMs: number;
  };
  readonly drain: { readonly timeoutMs: number };
  readonly log: {
    readonly level: ParsedConfig['log']['level'];
    readonly format: ParsedConfig['log']['format'];
  };
}

/** Name of a node that has none and is on its own. */
const LONE_NODE_ID = 'node-1';

/** Turns what the file says into what the code uses. */
export function toSettings(parsed: ParsedConfig): Settings {
  const { tls, limits, topics } = parsed;
  const { idleTimeout, keepAlive, handshakeTimeout, ...counts } = limits;
  const { defaults, ...topicLimits } = topics;
  const { retentionAge, flushInterval, tombstoneRetention, ...topicDefaults } = defaults;
  const listen = tlsListen(parsed);
  return deepFreeze({
    node: { id: parsed.node.id ?? LONE_NODE_ID },
    dataDir: parsed.dataDir,
    quic: parsed.quic,
    tls: {
      listen,
      advertise: tls.advertise,
      certificateFiles: filesOf(tls),
      names: certificateNames([
        parsed.quic.listen.host,
        listen?.host,
        parsed.grpc.listen?.host,
        parsed.quic.advertise?.host,
        tls.advertise?.host,
        ...tls.names,
      ]),
      clientCaFile: tls.clientCa,
      requireClientCertificate: tls.requireClientCertificate,
    },
    cluster: toClusterSettings(parsed),
    http: { ...parsed.http, api: servesApi(parsed) },
    grpc: parsed.grpc,
    auth: parsed.auth,
    acl: parsed.acl,
    topics: {
      ...topicLimits,
      defaults: {
        ...topicDefaults,
        retentionAgeMs: retentionAge,
        flushIntervalMs: flushInterval,
        tombstoneRetentionMs: tombstoneRetention,
        ...replicationDefaults(parsed),
      },
    },
    groups: { ...parsed.groups, ...groupReplication(parsed) },
    storage: parsed.storage,
    limits: {
      ...counts,
      idleTimeoutMs: idleTimeout,
      keepAliveMs: keepAlive ?? 0,
      handshakeTimeoutMs: handshakeTimeout,
    },
    drain: { timeoutMs: parsed.drain.timeout },
    log: parsed.log,
  });
}

/** Where the HTTP/2 fallback listens. */
export function tlsListen(parsed: Pick<ParsedConfig, 'tls' | 'quic'>): ListenAddress | null {
  return parsed.tls.listen === 'same' ? { ...parsed.quic.listen } : parsed.tls.listen;
}

/** Nothing secret goes over a network in the clear unless that is said. */
function servesApi({ http }: ParsedConfig): boolean {
  if (http.api !== 'auto') return http.api === 'on';
  return http.tls || (http.listen !== null && isLoopback(http.listen));
}

/** Addresses that stand for "every interface" name nobody and are left out. */
function certificateNames(more: readonly (string | undefined)[]): string[] {
  const names = new Set(['localhost', '127.0.0.1', '::1']);
  for (const name of more) if (name !== undefined && name !== '0.0.0.0' && name !== '::') names.add(name);
  return [...names];
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
