import { describe, expect, it } from 'vitest';
import { SluiceError } from '../../src/kernel/errors.ts';
import type { ConfigSources, LoadedConfig } from '../../src/config/load.ts';
import { loadConfig, loadConfigFile } from '../../src/config/load.ts';
import type { ConfigFault } from '../../src/config/config-fault.ts';
import { SETTINGS } from '../../src/config/setting-list.ts';

function load(text?: string, sources: Partial<ConfigSources> = {}): LoadedConfig {
  return loadConfig({
    file: text === undefined ? undefined : { name: 'sluice.yaml', text },
    env: {},
    flags: {},
    ...sources,
  });
}

/** Paths of the faults that loading reports. */
function faults(text?: string, sources: Partial<ConfigSources> = {}): string[] {
  try {
    load(text, sources);
    return [];
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'INVALID_CONFIG') throw error;
    return (error.cause as ConfigFault[]).map((fault) => fault.path);
  }
}

describe('configuration', () => {
  it('has a default for everything', () => {
    const { settings } = load();
    expect(settings).toMatchObject({
      node: { id: 'node-1' },
      quic: { listen: { host: '127.0.0.1', port: 7450 } },
      tls: { listen: { host: '127.0.0.1', port: 7450 }, certificateFiles: null, clientCaFile: null },
      http: { listen: { host: '127.0.0.1', port: 7451 } },
      topics: {
        autoCreate: true,
        defaults: { partitions: 1, retentionBytes: 67_108_864, retentionAgeMs: null },
      },
      limits: { idleTimeoutMs: 30_000, keepAliveMs: 10_000, streamWindowBytes: 524_288 },
      drain: { timeoutMs: 10_000 },
    });
  });

  it('takes a flag before the environment, the environment before the file, the file before the default', () => {
    const text = 'node: { id: file }\nlog: { level: warn, format: text }\ndataDir: /file\n';
    const env = { SLUICE_NODE_ID: 'env', SLUICE_LOG_LEVEL: 'debug' };
    const { settings } = load(text, { env, flags: { 'node.id': 'flag' } });
    expect([settings.node.id, settings.log.level, settings.log.format, settings.drain.timeoutMs]).toEqual([
      'flag',
      'debug',
      'text',
      10_000,
    ]);
  });

  it('reads JSON as well as YAML', () => {
    expect(load('{"quic": {"listen": "[::1]:9000"}}').settings.quic.listen).toEqual({
      host: '::1',
      port: 9000,
    });
  });

  it('accepts an empty file and sections whose keys are commented out', () => {
    expect([faults(''), faults('quic:\n  # listen: 127.0.0.1:1\n')]).toEqual([[], []]);
  });

  it('reports all faults at once, each with its path', () => {
    const text = [
      'quic: { listen: nowhere }',
      'limits: { idleTimeout: 10, maxFrames: 3 }',
      'colour: green',
      'acl: { rules: [{ principal: a, topic: b, operations: [fly] }] }',
    ].join('\n');
    expect(faults(text, { env: { SLUICE_LOG_LEVEL: 'loud', SLUICE_COLOUR: 'x' } }).sort()).toEqual([
      'SLUICE_COLOUR',
      'acl.rules[0].operations[0]',
      'colour',
      'limits.idleTimeout',
      'limits.maxFrames',
      'log.level',
      'quic.listen',
    ]);
  });

  it('refuses a section that is no mapping', () => {
    expect(faults('quic: 127.0.0.1:7450')).toEqual(['quic']);
  });

  it('refuses a file that is no mapping, and one that is no YAML', () => {
    expect([faults('- a'), faults('a: [')]).toEqual([['sluice.yaml'], ['sluice.yaml']]);
  });

  it('refuses a file that defines a key twice', () => {
    expect(faults('dataDir: a\ndataDir: b')).toEqual(['sluice.yaml']);
  });

  it('refuses an alias bomb', () => {
    const lines = Array.from(
      { length: 12 },
      (_, i) => `k${i + 1}: &k${i + 1} [${Array(9).fill(`*k${i}`).join(', ')}]`,
    );
    expect(faults(`k0: &k0 x\n${lines.join('\n')}`)).toEqual(['sluice.yaml']);
  });

  it('ignores what an orchestrator sets for a service of the same name', () => {
    const env = {
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_PORT: 'tcp://10.0.0.1:7450',
      SLUICE_PORT_7450_TCP_ADDR: '10.0.0.1',
      SLUICE_HEADLESS_SERVICE_PORT_QUIC: '7450',
    };
    expect(faults(undefined, { env })).toEqual([]);
  });

  it('never shows a secret in a fault', () => {
    expect(() => load(undefined, { env: { SLUICE_AUTH_ADMIN_TOKEN: 'hunter2' } })).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('hunter2') as string }) as Error,
    );
  });

  it('reads lists from the environment', () => {
    const env = {
      SLUICE_TLS_NAMES: 'broker.example, 10.0.0.1',
      SLUICE_ACL_RULES: '[{"principal":"*","topic":"*","operations":["publish"]}]',
    };
    const { settings } = load(undefined, { env });
    expect([settings.tls.names, settings.acl.rules.length]).toEqual([
      ['localhost', '127.0.0.1', '::1', 'broker.example', '10.0.0.1'],
      1,
    ]);
  });

  it('turns off what is off', () => {
    const { settings } = load('tls: { listen: off }\nhttp: { listen: "off" }\nlimits: { keepAlive: off }');
    expect([settings.tls.listen, settings.http.listen, settings.limits.keepAliveMs]).toEqual([null, null, 0]);
  });

  it('serves the HTTP API where nobody on the way can read it, and elsewhere only when that is said', () => {
    const serves = (http: string): boolean =>
      load(`auth: { mode: required }\nhttp: { ${http} }`).settings.http.api;
    expect([
      serves('listen: "127.0.0.1:1"'),
      serves('listen: "0.0.0.0:1"'),
      serves('listen: "0.0.0.0:1", tls: true'),
      serves('listen: "0.0.0.0:1", api: on'),
      serves('listen: "127.0.0.1:1", api: off'),
    ]).toEqual([true, false, true, true, false]);
  });

  it('takes origins that are some, and no paths', () => {
    const origins = load('http: { origins: ["https://a.example", "http://localhost:3000"] }').settings.http
      .origins;
    expect([origins, faults('http: { origins: ["https://a.example/x"] }')]).toEqual([
      ['https://a.example', 'http://localhost:3000'],
      ['http.origins[0]'],
    ]);
  });

  it('cannot be changed afterwards', () => {
    const { settings } = load();
    expect(Object.isFrozen(settings.topics.defaults)).toBe(true);
  });

  it('reports a file that cannot be read', async () => {
    await expect(loadConfigFile('/nowhere/sluice.yaml', {}, {})).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
    });
  });

  it('gives every setting an environment variable and a flag of its own', () => {
    const names = SETTINGS.flatMap((entry) => [entry.env, ...(entry.flag === undefined ? [] : [entry.flag])]);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('configuration, one setting against another', () => {
  it('refuses to serve everybody beyond this machine', () => {
    expect(faults(undefined, { flags: { 'quic.listen': '0.0.0.0:7450' } })).toEqual(['auth.mode']);
  });

  it.each([
    ['anonymous clients are allowed explicitly', { 'auth.allowAnonymous': true }],
    ['authentication is required', { 'auth.mode': 'required' }],
  ])('serves beyond this machine where %s', (_why, flags) => {
    expect(faults(undefined, { flags: { 'quic.listen': '0.0.0.0:7450', ...flags } })).toEqual([]);
  });

  it('counts the HTTP listener too', () => {
    expect(faults('http: { listen: "0.0.0.0:7451" }')).toEqual(['auth.mode']);
  });

  it('needs certificate and key together', () => {
    expect(faults('tls: { certificate: a.pem }')).toEqual(['tls.key']);
  });

  it('needs an authority where client certificates are required', () => {
    expect(faults('tls: { requireClientCertificate: true }')).toEqual(['tls.clientCa']);
  });

  it('reads how topics on disk are kept', () => {
    const text =
      'topics: { maxTopics: 5, maxPartitions: 6, defaults: { storage: disk, retentionBytes: off, flush: interval, flushInterval: 2s, ' +
      "cleanup: 'compact,delete', tombstoneRetention: 7d } }\n" +
      'storage: { memoryBytes: 1GiB, openFiles: 64, segmentBytes: 4MiB }';
    const { topics, storage } = load(text).settings;
    expect(topics).toMatchObject({
      maxTopics: 5,
      maxPartitions: 6,
      defaults: {
        retentionBytes: null,
        flush: 'interval',
        flushIntervalMs: 2000,
        cleanup: 'compact,delete',
        tombstoneRetentionMs: 604_800_000,
      },
    });
    expect(storage).toMatchObject({ memoryBytes: 1024 ** 3, openFiles: 64, segmentBytes: 4 * 1024 ** 2 });
  });

  it.each([
    ['retentionBytes: off', 'topics.defaults.retentionBytes'],
    ['cleanup: compact', 'topics.defaults.cleanup'],
  ])('does not let topics in memory have %s', (setting, path) => {
    expect(faults(`topics: { defaults: { ${setting} } }`)).toEqual([path]);
    expect(faults(`topics: { defaults: { storage: disk, ${setting} } }`)).toEqual([]);
  });

  it('keeps one copy of a topic on a node on its own', () => {
    expect(load('').settings.topics.defaults).toMatchObject({ replicationFactor: 1, minInsync: 1 });
    const path = 'topics.defaults.replicationFactor';
    expect(faults('topics: { defaults: { replicationFactor: 3 } }')).toEqual([path]);
    expect(faults('topics: { defaults: { minInsync: 2 } }')).toEqual(['topics.defaults.minInsync']);
    expect(load('').settings.groups).toMatchObject({ partitions: 16, replicationFactor: 1, minInsync: 1 });
    expect(faults('groups: { replicationFactor: 3 }')).toEqual(['groups.replicationFactor']);
    expect(faults('groups: { minInsync: 2 }')).toEqual(['groups.minInsync']);
  });

  describe('of a cluster', () => {
    const peer = 'peer: { tls: { certificate: n.pem, key: n-key.pem, ca: ca.pem } }';
    const member = (etcd: string, more = '') =>
      `node: { id: a }\n${peer}\ncluster: { etcd: { ${etcd} }${more} }`;
    const plain = 'endpoints: ["http://e1:2379"]';
    const secure = 'endpoints: ["https://e1:2379", "https://e2:2379"]';

    it('is read, with more copies of each topic', () => {
      const etcd = `${secure}, ca: e.pem, certificate: c.pem, key: k.pem, username: sluice, passwordFile: p`;
      const { cluster, topics, groups, node } = load(
        member(etcd, ', zone: east, leaseTtl: 5s, capacity: 0'),
      ).settings;
      expect(cluster).toEqual({
        name: 'main',
        etcd: {
          endpoints: ['https://e1:2379', 'https://e2:2379'],
          caFile: 'e.pem',
          certificateFiles: { certificate: 'c.pem', key: 'k.pem' },
          username: 'sluice',
          passwordFile: 'p',
        },
        leaseTtlMs: 5000,
        zone: 'east',
        capacity: 0,
        peer: {
          listen: { host: '127.0.0.1', port: 7452 },
          advertise: null,
          certificateFiles: { certificate: 'n.pem', key: 'n-key.pem' },
          caFile: 'ca.pem',
        },
      });
      expect([node.id, topics.defaults.replicationFactor, topics.defaults.minInsync]).toEqual(['a', 3, 2]);
      expect(groups).toMatchObject({ replicationFactor: 3, minInsync: 2 });
    });

    it('is none without endpoints', () => {
      expect(load('').settings.cluster).toBeNull();
    });

    it('takes endpoints from the environment, separated by commas', () => {
      const env = { SLUICE_CLUSTER_ETCD_ENDPOINTS: 'http://e1:2379, http://e2:2379' };
      const { settings } = load(`node: { id: a }\n${peer}`, { env });
      expect(settings.cluster?.etcd.endpoints).toEqual(['http://e1:2379', 'http://e2:2379']);
    });

    it('tells all that is missing at once', () => {
      expect(faults(`cluster: { etcd: { ${plain} } }`)).toEqual([
        'node.id',
        'peer.tls.certificate',
        'peer.tls.key',
        'peer.tls.ca',
      ]);
    });

    it.each([
      [`${plain}, ca: e.pem`, ['cluster.etcd.endpoints']],
      [
        'endpoints: ["http://e1:1", "https://e2:1"], ca: e.pem',
        ['cluster.etcd.endpoints', 'cluster.etcd.endpoints'],
      ],
      [secure, ['cluster.etcd.ca']],
      [`${secure}, ca: e.pem, certificate: c.pem`, ['cluster.etcd.key']],
      [`${plain}, username: sluice`, ['cluster.etcd.passwordFile']],
      ['endpoints: ["e1:2379"]', ['cluster.etcd.endpoints[0]']],
      ['endpoints: ["http://e1:2379/path"]', ['cluster.etcd.endpoints[0]']],
    ])('refuses etcd with %s', (etcd, paths) => {
      expect(faults(member(etcd))).toEqual(paths);
    });

    it('grants leases of whole seconds', () => {
      expect(faults(member(plain, ', leaseTtl: 2500ms'))).toEqual(['cluster.leaseTtl']);
    });

    it('has to be told where a node is that listens everywhere', () => {
      const everywhere = {
        'quic.listen': '0.0.0.0:7450',
        'auth.allowAnonymous': true,
        'peer.listen': '[::]:7452',
      };
      expect(faults(member(plain), { flags: everywhere })).toEqual(['peer.advertise', 'quic.advertise']);
      const flags = { ...everywhere, 'peer.advertise': 'n1:7452', 'quic.advertise': 'n1:7450' };
      expect(load(member(plain), { flags }).settings).toMatchObject({
        quic: { advertise: { host: 'n1', port: 7450 } },
        cluster: { peer: { advertise: { host: 'n1', port: 7452 } } },
        tls: { names: expect.arrayContaining(['n1']) as string[] },
      });
    });

    it('is not forgotten because its endpoints were lost on the way', () => {
      expect(faults(peer)).toEqual(['cluster.etcd.endpoints']);
    });
  });

  it('keeps limits that depend on each other in order', () => {
    const text =
      'limits: { maxFrameBytes: 1MiB, batchMaxBytes: 2MiB, keepAlive: 20s }\ntopics: { defaults: { retentionBytes: 1MiB } }';
    expect(faults(text)).toEqual([
      'limits.maxFrameBytes',
      'limits.keepAlive',
      'topics.defaults.retentionBytes',
    ]);
  });
});
