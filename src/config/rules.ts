import { clusterFaults } from './cluster-rules.ts';
import type { ConfigFault } from './config-fault.ts';
import { isLoopback } from './loopback.ts';
import type { ParsedConfig } from './schema/schema.ts';
import { tlsListen } from './settings.ts';

/** What is wrong between settings that are each right. */
export function crossFaults(config: ParsedConfig): ConfigFault[] {
  return [
    ...accessFaults(config),
    ...certificateFaults(config),
    ...limitFaults(config),
    ...topicFaults(config),
    ...clusterFaults(config),
  ];
}

function* accessFaults(config: ParsedConfig): Generator<ConfigFault> {
  if (config.auth.mode !== 'none' || config.auth.allowAnonymous) return;
  const listens = {
    'quic.listen': config.quic.listen,
    'tls.listen': tlsListen(config),
    'http.listen': config.http.listen,
    'grpc.listen': config.grpc.listen,
  };
  const open = Object.entries(listens).filter(([, address]) => address !== null && !isLoopback(address));
  if (open.length === 0) return;
  const where = open.map(([path, address]) => `${path} ${address!.host}`).join(', ');
  yield {
    path: 'auth.mode',
    message:
      `everybody who reaches ${where} could do everything: set auth.mode to required, listen on 127.0.0.1, ` +
      'or set auth.allowAnonymous (--allow-anonymous) if that is intended',
  };
}

function* certificateFaults({ tls, grpc }: ParsedConfig): Generator<ConfigFault> {
  if ((tls.certificate === null) !== (tls.key === null)) {
    yield { path: 'tls.key', message: 'tls.certificate and tls.key belong together: set both, or neither' };
  }
  if (tls.requireClientCertificate && tls.clientCa === null) {
    yield { path: 'tls.clientCa', message: 'is needed where tls.requireClientCertificate is true' };
  }
  if (tls.requireClientCertificate && grpc.listen !== null && grpc.plaintext) {
    yield {
      path: 'grpc.plaintext',
      message:
        'must be false where tls.requireClientCertificate is true: without TLS nobody shows a certificate',
    };
  }
}

function* limitFaults({ limits }: ParsedConfig): Generator<ConfigFault> {
  if (limits.maxFrameBytes <= limits.batchMaxBytes) {
    yield {
      path: 'limits.maxFrameBytes',
      message: 'must be larger than limits.batchMaxBytes: a frame holds a whole batch',
    };
  }
  if (limits.keepAlive !== null && limits.keepAlive * 2 > limits.idleTimeout) {
    yield {
      path: 'limits.keepAlive',
      message: 'must be at most half of limits.idleTimeout, or connections die of silence',
    };
  }
}

function* topicFaults({ limits, topics }: ParsedConfig): Generator<ConfigFault> {
  const { retentionBytes, storage, cleanup } = topics.defaults;
  if (retentionBytes !== null && retentionBytes < limits.batchMaxBytes) {
    yield {
      path: 'topics.defaults.retentionBytes',
      message: 'must hold one batch: at least limits.batchMaxBytes',
    };
  }
  if (storage === 'memory' && retentionBytes === null) {
    yield {
      path: 'topics.defaults.retentionBytes',
      message: 'must be a size where topics.defaults.storage is memory, which has to be bounded',
    };
  }
  if (storage === 'memory' && cleanup !== 'delete') {
    yield {
      path: 'topics.defaults.cleanup',
      message: 'must be delete where topics.defaults.storage is memory: only topics on disk are compacted',
    };
  }
}
