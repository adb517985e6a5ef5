/** What a node does when the disk of its topics is full, becomes read-only, or is somebody else's. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client, Producer } from '../../src/client/index.ts';
import { itWhen } from '../../test/support/it-when.ts';
import { eventually } from '../support/eventually.ts';
import { CAN_MOUNT, SmallDisk, freeze, thaw } from '../support/mounts.ts';
import { NodeProcess } from '../support/node-process.ts';

const MiB = 1024 * 1024;
const TOPIC = 'stored';
const VALUE_BYTES = 4096;

let resources: AsyncDisposableStack;
beforeEach(() => {
  resources = new AsyncDisposableStack();
});
afterEach(() => resources.disposeAsync());

/** A node, and a topic on disk with 100 records. */
class Stage {
  readonly node: NodeProcess;
  readonly client: Client;
  readonly producer: Producer;
  /** Values of acknowledged records, in order. */
  readonly acknowledged: string[] = [];
  #sent = 0;

  private constructor(node: NodeProcess, client: Client) {
    this.node = node;
    this.client = client;
    // It does not try again by itself, so that refusals are seen.
    this.producer = client.producer({ retries: 0, deliveryTimeoutMs: 10_000 });
  }

  /** @param retentionBytes decides how large segments are: an eighth of it, at least 1 MiB */
  static async start(dataFolder: string, retentionBytes = 0): Promise<Stage> {
    const node = resources.use(await NodeProcess.start({ dataFolder }));
    const client = await node.connect();
    resources.adopt(client, () => client.close());
    const stage = new Stage(node, client);
    const settings = { storage: 'disk', retentionBytes, retentionMs: 0 } as const;
    await client.admin.createTopic({ name: TOPIC, settings });
    for (let n = 0; n < 100; n++) await stage.publish();
    return stage;
  }

  async publish(): Promise<void> {
    const value = `${this.#sent++} ${'x'.repeat(VALUE_BYTES)}`;
    await this.producer.send({ topic: TOPIC, value });
    this.acknowledged.push(value);
  }

  /** Publishes until it is refused. @returns the code */
  async publishUntilRefused(records: number): Promise<string> {
    for (let n = 0; n < records; n++) {
      try {
        await this.publish();
      } catch (error) {
        return (error as { code: string }).code;
      }
    }
    return `not refused after ${records} records`;
  }

  /** Publishes again and again until it succeeds. */
  async publishAgain(): Promise<void> {
    await eventually('a record is taken again', () =>
      this.publish().then(
        () => true,
        () => false,
      ),
    );
  }

  /** Every value in the topic. */
  async readAll(): Promise<string[]> {
    const subscription = await this.client.subscribe(TOPIC, { from: 'earliest' });
    const values: string[] = [];
    const { highWatermark } = (await this.client.admin.describeTopic(TOPIC)).partitions[0]!;
    for await (const record of subscription) {
      values.push(record.text());
      if (record.offset + 1 >= highWatermark) break;
    }
    return values;
  }

  /** Expects everything that was acknowledged, in order and once; records with no answer may be there. */
  async expectAcknowledged(): Promise<void> {
    const values = await this.readAll();
    expect(new Set(values).size).toBe(values.length);
    const known = new Set(this.acknowledged);
    expect(values.filter((value) => known.has(value))).toEqual(this.acknowledged);
  }
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-faults-'));
  resources.defer(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** Mounting takes root. */
const itAsRoot = itWhen(CAN_MOUNT);

describe('a node whose disk', () => {
  itAsRoot(
    'is full refuses records, lets them be read, and takes them again once there is room',
    async () => {
      const disk = resources.use(new SmallDisk(64));
      const stage = await Stage.start(disk.folder);
      disk.fill(MiB);
      expect(await stage.publishUntilRefused(2000)).toBe('STORAGE_FULL');
      await stage.expectAcknowledged();
      disk.relieve();
      await stage.publishAgain();
      await stage.expectAcknowledged();
      await stage.node.kill('SIGKILL');
      await stage.node.restart();
      await stage.expectAcknowledged();
    },
  );

  itAsRoot('is full starts, lets records be read, and takes what makes room', async () => {
    const disk = resources.use(new SmallDisk(32));
    const stage = await Stage.start(disk.folder);
    await stage.client.admin.createTopic({ name: 'other', settings: { storage: 'disk', retentionMs: 0 } });
    await stage.client.admin.createTopic({ name: 'memory' });
    const { id } = await stage.client.admin.createToken({
      principal: 'gone',
      grants: [{ topics: 't', operations: ['publish'] }],
    });
    disk.fill(MiB);
    expect(await stage.publishUntilRefused(2000)).toBe('STORAGE_FULL');
    disk.fill(0);
    await stage.node.kill('SIGKILL');
    await stage.node.restart();
    await stage.expectAcknowledged();
    await stage.client.admin.alterTopic({ name: 'other', settings: { retentionMs: 60_000 } });
    await stage.client.admin.revokeToken(id);
    await stage.client.admin.deleteTopic('other');
    expect((await stage.client.admin.listTopics()).map(({ name }) => name)).toEqual(['memory', TOPIC]);
    disk.relieve();
    await stage.publishAgain();
    await stage.expectAcknowledged();
  });

  itAsRoot(
    'is read-only refuses records once a new file is needed, lets them be read, and takes them again',
    async () => {
      const disk = resources.use(new SmallDisk(64));
      const stage = await Stage.start(disk.folder, 8 * MiB);
      disk.cover(join(disk.folder, 'topics'));
      expect(await stage.publishUntilRefused(1000)).toBe('STORAGE_FAILED');
      expect((await stage.readAll()).at(-1)).toBe(stage.acknowledged.at(-1));
      disk.uncover(join(disk.folder, 'topics'));
      await stage.publishAgain();
      expect((await stage.readAll()).at(-1)).toBe(stage.acknowledged.at(-1));
    },
  );

  itAsRoot(
    'may not be changed any more refuses records, lets them be read, and takes them again',
    async () => {
      const path = folder();
      const stage = await Stage.start(path);
      freeze(join(path, 'topics'));
      resources.defer(() => {
        thaw(join(path, 'topics'));
      });
      expect(await stage.publishUntilRefused(10)).toBe('STORAGE_FAILED');
      await stage.expectAcknowledged();
      thaw(join(path, 'topics'));
      await stage.publishAgain();
      await stage.expectAcknowledged();
      await stage.node.kill('SIGKILL');
      await stage.node.restart();
      await stage.expectAcknowledged();
    },
  );
});

describe('a data directory', () => {
  it('that a node uses is refused to a second one, and the first goes on', async () => {
    const path = folder();
    const stage = await Stage.start(path);
    const second = await NodeProcess.start({ dataFolder: path }).then(
      () => 'started',
      (error: unknown) => String(error),
    );
    expect(second).toContain('DATA_DIR_LOCKED');
    await stage.publish();
    await stage.expectAcknowledged();
  });
});
