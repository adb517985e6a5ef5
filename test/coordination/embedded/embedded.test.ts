import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NewTopic, TopicChange } from '../../../src/coordination/coordinator.ts';
import { OFFSET_BLOCK } from '../../../src/coordination/coordinator.ts';
import { EmbeddedCoordinator } from '../../../src/coordination/embedded/embedded.ts';
import { embeddedTopics } from '../../../src/coordination/embedded/topic-files.ts';
import type { SluiceError } from '../../../src/kernel/errors.ts';
import { systemRandom } from '../../../src/kernel/random.ts';
import type { TokenRecord } from '../../../src/security/token.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { topicSettings } from '../../support/topic-settings.ts';

const coded = (code: string): Error => expect.objectContaining({ code }) as Error;
const topic = (name: string, partitions = 2): NewTopic => ({
  name,
  partitions,
  settings: topicSettings({ retentionBytes: 1000, batchMaxBytes: 4096 }),
});
const TOKEN: TokenRecord = {
  id: '0123456789abcdef',
  name: 'billing',
  secretSha256: 'x'.repeat(43),
  admin: false,
  rights: [],
  createdAtMs: 1,
  expiresAtMs: null,
};

let dataDir: string;
let coordinator: EmbeddedCoordinator;
const open = (): Promise<EmbeddedCoordinator> =>
  EmbeddedCoordinator.open({ dataDir, clock: new FakeClock(), random: systemRandom });
const restart = async (): Promise<void> => {
  await coordinator[Symbol.asyncDispose]();
  coordinator = await open();
};
const file = (...path: string[]): string => join(dataDir, 'coordination', ...path);

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sluice-coordination-'));
  coordinator = await open();
});

afterEach(async () => {
  await coordinator[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
});

describe('topics of an embedded coordinator', () => {
  it('are there after a restart as they were', async () => {
    await coordinator.createTopic(topic('b'));
    await coordinator.createTopic(topic('a'));
    await coordinator.alterTopic('a', { partitions: 5, settings: { retentionMs: 9 } });
    const before = coordinator.topics();
    await restart();
    expect(coordinator.topics()).toEqual(before);
    expect(before.map(({ name, partitions }) => [name, partitions])).toEqual([
      ['a', 5],
      ['b', 2],
    ]);
  });

  it('written before there were topics on disk, or clusters, take the defaults of what is new', async () => {
    const { settings } = await coordinator.createTopic(topic('a'));
    await coordinator[Symbol.asyncDispose]();
    const path = file('topics', 'a.json');
    const { state } = JSON.parse(await readFile(path, 'utf8')) as {
      state: { definition: { settings: object } };
    };
    const { storage, retentionBytes, retentionMs, retentionRecords, batchMaxBytes, timestamps } = settings;
    state.definition.settings = {
      storage,
      retentionBytes,
      retentionMs,
      retentionRecords,
      batchMaxBytes,
      timestamps,
    };
    await writeFile(path, JSON.stringify({ format: 1, checksum: crc32(JSON.stringify(state)), state }));
    coordinator = await open();
    expect(coordinator.topic('a')?.settings).toEqual(settings);
  });

  it('cannot be created twice, also at the same time', async () => {
    const results = await Promise.allSettled([
      coordinator.createTopic(topic('a')),
      coordinator.createTopic(topic('a')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await expect(coordinator.createTopic(topic('a'))).rejects.toThrow(coded('TOPIC_EXISTS'));
  });

  it('may have names as long as names can be', async () => {
    await coordinator.createTopic(topic('n'.repeat(249)));
    await restart();
    expect(coordinator.topics()).toHaveLength(1);
  });

  it('do not come back after they are deleted, even while offsets are being reserved', async () => {
    const { id } = await coordinator.createTopic(topic('a'));
    const deleting = coordinator.deleteTopic('a');
    const late: Promise<unknown>[] = [];
    for (let turn = 0; turn < 20; turn++) {
      late.push(coordinator.reserveOffsets(id, 0, turn).catch(() => undefined));
      await Promise.resolve();
    }
    await Promise.all([deleting, ...late]);
    expect(coordinator.topics()).toEqual([]);
    await restart();
    expect(coordinator.topics()).toEqual([]);
    await expect(coordinator.reserveOffsets(id, 0, 20)).rejects.toThrow(coded('TOPIC_NOT_FOUND'));
  });

  it('cannot lose partitions', async () => {
    await coordinator.createTopic(topic('a', 3));
    await expect(coordinator.alterTopic('a', { partitions: 2 })).rejects.toThrow(coded('INVALID_ARGUMENT'));
    expect(coordinator.topic('a')!.partitions).toBe(3);
  });

  it.each([{ replicationFactor: 2 }, { minInsync: 2 }])('have one copy, not %j', async (settings) => {
    const wanted = topic('a');
    await expect(
      coordinator.createTopic({ ...wanted, settings: { ...wanted.settings, ...settings } }),
    ).rejects.toThrow(coded('INVALID_ARGUMENT'));
    const created = await coordinator.createTopic(wanted);
    await expect(coordinator.alterTopic('a', { settings })).rejects.toThrow(coded('INVALID_ARGUMENT'));
    expect(coordinator.topics()).toEqual([created]);
  });

  it('can be listed without opening the directory', async () => {
    expect(await embeddedTopics(join(dataDir, 'nowhere'))).toEqual([]);
    expect(await embeddedTopics(dataDir)).toEqual([]);
    await coordinator.createTopic(topic('b'));
    await coordinator.createTopic(topic('a'));
    expect(await embeddedTopics(dataDir)).toEqual(['a', 'b']);
  });

  it('are told to watchers, in order, until those stop', async () => {
    const changes: TopicChange[] = [];
    const unwatch = coordinator.watchTopics((change) => changes.push(change));
    await coordinator.createTopic(topic('a'));
    await coordinator.alterTopic('a', { settings: { retentionMs: 1 } });
    await coordinator.deleteTopic('a');
    unwatch();
    await coordinator.createTopic(topic('b'));
    expect(changes.map(({ kind }) => kind)).toEqual(['created', 'altered', 'deleted']);
  });
});

describe('claims of an embedded coordinator', () => {
  it('begin at 0 and, after a crash, above everything that may have been handed out', async () => {
    const { id } = await coordinator.createTopic(topic('a'));
    const first = await coordinator.claimPartition(id, 1);
    await restart();
    const second = await coordinator.claimPartition(id, 1);
    await coordinator.reserveOffsets(id, 1, 5 * OFFSET_BLOCK);
    await restart();
    const third = await coordinator.claimPartition(id, 1);
    expect([first, second, third].map(({ firstOffset }) => firstOffset)).toEqual([
      0,
      OFFSET_BLOCK,
      5 * OFFSET_BLOCK,
    ]);
    expect(first.offsetCeiling).toBe(second.firstOffset);
    expect([first, second, third].map(({ leaderEpoch }) => leaderEpoch)).toEqual([1, 2, 3]);
  });

  it('go on at the log end that an orderly stop left', async () => {
    const { id } = await coordinator.createTopic(topic('a'));
    await coordinator.claimPartition(id, 0);
    await coordinator.reserveOffsets(id, 0, 1234);
    await restart();
    expect(await coordinator.claimPartition(id, 0)).toMatchObject({
      firstOffset: 1234,
      offsetCeiling: OFFSET_BLOCK,
    });
  });

  it('of a log on disk set no offsets aside and say whether it has been begun', async () => {
    const wanted = topic('a');
    const { id } = await coordinator.createTopic({
      ...wanted,
      settings: { ...wanted.settings, storage: 'disk' },
    });
    const first = await coordinator.claimPartition(id, 0);
    await restart();
    const second = await coordinator.claimPartition(id, 0);
    await coordinator.reserveOffsets(id, 0, 1);
    await restart();
    const third = await coordinator.claimPartition(id, 0);
    expect([first, second, third]).toEqual([
      { leaderEpoch: 1, firstOffset: 0, offsetCeiling: 0 },
      { leaderEpoch: 2, firstOffset: 0, offsetCeiling: 0 },
      { leaderEpoch: 3, firstOffset: 0, offsetCeiling: 1 },
    ]);
  });

  it('of many partitions at once share their writes', async () => {
    const { id } = await coordinator.createTopic(topic('a', 500));
    const claims = await Promise.all(
      Array.from({ length: 500 }, (_, index) => coordinator.claimPartition(id, index)),
    );
    expect(claims.every(({ offsetCeiling }) => offsetCeiling === OFFSET_BLOCK)).toBe(true);
    await restart();
    expect(await coordinator.claimPartition(id, 499)).toMatchObject({ firstOffset: OFFSET_BLOCK });
  });
});

describe('ids of an embedded coordinator', () => {
  it('of node and cluster stay', async () => {
    const { nodeId, clusterId } = coordinator;
    await restart();
    expect([coordinator.nodeId, coordinator.clusterId]).toEqual([nodeId, clusterId]);
  });

  it('of producers are bound with a key that stays, also where a version before had none', async () => {
    const { nodeId } = coordinator;
    await coordinator[Symbol.asyncDispose]();
    const path = file('node.json');
    const { state } = JSON.parse(await readFile(path, 'utf8')) as { state: { producerKey?: string } };
    delete state.producerKey;
    await writeFile(path, JSON.stringify({ format: 1, checksum: crc32(JSON.stringify(state)), state }));
    coordinator = await open();
    const { producerKey } = coordinator;
    await restart();
    expect(producerKey).toHaveLength(32);
    expect([coordinator.nodeId, coordinator.producerKey]).toEqual([nodeId, producerKey]);
  });

  it('of producers are never given twice', async () => {
    const ids = await Promise.all(Array.from({ length: 2500 }, () => coordinator.allocateProducerId()));
    await restart();
    ids.push(await coordinator.allocateProducerId());
    expect([new Set(ids).size, Math.min(...ids)]).toEqual([2501, 1]);
  });
});

describe('tokens of an embedded coordinator', () => {
  it('are there after a restart until they are deleted', async () => {
    await coordinator.tokens.put(TOKEN);
    await restart();
    expect(coordinator.tokens.get(TOKEN.id)).toEqual(TOKEN);
    expect([await coordinator.tokens.delete(TOKEN.id), await coordinator.tokens.delete(TOKEN.id)]).toEqual([
      true,
      false,
    ]);
    await restart();
    expect(coordinator.tokens.list()).toEqual([]);
  });

  it('are in a file that only its owner can read', async () => {
    const { mode } = await stat(file('tokens.json'));
    expect(mode & 0o077).toBe(0);
  });
});

describe('a data directory', () => {
  it('is for one broker at a time', async () => {
    await expect(open()).rejects.toThrow(coded('DATA_DIR_LOCKED'));
    await restart();
  });

  it.each([
    ['cut in half', (text: string) => text.slice(0, text.length / 2)],
    ['emptied', () => ''],
    [
      'with a changed number',
      (text: string) => text.replace('"retentionBytes": 1000', '"retentionBytes": 1001'),
    ],
    ['of a later format', (text: string) => text.replace('"format": 1', '"format": 2')],
    ['that is something else', () => '[]'],
  ])('with a topic file %s does not open, and the error names the file', async (_what, damage) => {
    await coordinator.createTopic(topic('a'));
    await coordinator[Symbol.asyncDispose]();
    const path = file('topics', 'a.json');
    const good = await readFile(path, 'utf8');
    await writeFile(path, damage(good));
    const error = await open().then(
      () => undefined,
      (reason: unknown) => reason as SluiceError,
    );
    expect([error?.code, error?.message.includes(path)]).toEqual(['STORAGE_FAILED', true]);
    await writeFile(path, good);
    coordinator = await open();
    expect(coordinator.topics()).toHaveLength(1);
  });

  it.each(['node.json', 'tokens.json'])('does not start empty when %s is missing', async (name) => {
    await coordinator.createTopic(topic('a'));
    await coordinator[Symbol.asyncDispose]();
    const text = await readFile(file(name), 'utf8');
    await rm(file(name));
    await expect(open()).rejects.toThrow(coded('STORAGE_FAILED'));
    await writeFile(file(name), text);
    coordinator = await open();
  });

  it('opens after a crash in its very first start', async () => {
    await coordinator[Symbol.asyncDispose]();
    await rm(file('node.json'));
    coordinator = await open();
    expect(coordinator.topics()).toEqual([]);
  });

  it('loses what a crash left half written and nothing else', async () => {
    await coordinator.createTopic(topic('a'));
    await writeFile(file('topics', '.new-3'), '{"format"');
    await restart();
    expect(coordinator.topics()).toHaveLength(1);
    expect(await readdir(file('topics'))).toEqual(['a.json']);
  });

  it('that cannot be written refuses a change, which then has not happened, and recovers', async () => {
    await coordinator.createTopic(topic('a'));
    // A directory in the place of the file makes the rename fail, also for root.
    await mkdir(file('topics', 'b.json'));
    await writeFile(file('topics', 'b.json', 'x'), '');
    await expect(coordinator.createTopic(topic('b'))).rejects.toThrow(coded('STORAGE_FAILED'));
    expect(coordinator.topic('b')).toBeUndefined();
    await rm(file('topics', 'b.json'), { recursive: true });
    await expect(coordinator.createTopic(topic('b'))).resolves.toMatchObject({ name: 'b' });
    expect(await readdir(file('topics'))).toEqual(['a.json', 'b.json']);
  });
});

describe('a closed coordinator', () => {
  it('changes nothing any more', async () => {
    await coordinator[Symbol.asyncDispose]();
    await expect(coordinator.createTopic(topic('a'))).rejects.toThrow(coded('UNAVAILABLE'));
    await expect(coordinator.tokens.put(TOKEN)).rejects.toThrow(coded('UNAVAILABLE'));
    await expect(coordinator.allocateProducerId()).rejects.toThrow(coded('UNAVAILABLE'));
  });
});
