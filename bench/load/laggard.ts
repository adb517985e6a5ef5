import { Worker } from '../support/processes.ts';
import { BenchServer } from '../support/servers.ts';

export interface LaggardSample {
  /** Growth of the broker's resident memory while one subscriber fell behind, MiB. */
  readonly grownMiB: number;
  readonly rssMiB: number;
}

const MiB = 1024 * 1024;
const BYTES = 1024;
/** Retention of the topic, as the default of the broker is. */
const RETAINED_BYTES = 64 * MiB;
const WINDOW_RECORDS = 16 * 1024;
/** Resident memory goes on growing for about a gibibyte of traffic, with a laggard and without. */
const WARM_UP_BYTES = 24 * RETAINED_BYTES;

/**
 * What a subscriber costs the broker that stops reading and falls `behindBytes` behind, on a topic whose retained buffer is full
 * and stays so.
 */
export async function runLaggard(behindBytes: number): Promise<LaggardSample> {
  await using server = await BenchServer.start('sluice');
  await using stalled = new Worker();
  await using reader = new Worker();
  await using publisher = new Worker();
  const shared = { server: server.address, options: {} };
  const publish = async (bytes: number): Promise<void> => {
    const records = Math.ceil(bytes / BYTES);
    const subscribed = reader.next('subscribed');
    reader.tell({
      ...{ kind: 'subscribe', ...shared, connections: 1, topics: ['bench'], timed: [] },
      ...{ records, quietMs: 20_000 },
    });
    await subscribed;
    reader.onProgress = (done) => publisher.tell({ kind: 'progress', done });
    const done = Promise.all([reader.next('received'), publisher.next('published')]);
    const windowRecords = WINDOW_RECORDS;
    publisher.tell({
      kind: 'publish',
      ...shared,
      topic: 'bench',
      payload: 'random',
      bytes: BYTES,
      records,
      windowRecords,
    });
    await done;
  };
  // Fill the buffer many times over, so that the allocator has seen all it will see.
  await publish(WARM_UP_BYTES);
  const subscribed = stalled.next('subscribed');
  stalled.tell({
    ...{ kind: 'subscribe', ...shared, connections: 1, topics: ['bench'], timed: [], records: Infinity },
    ...{ quietMs: Infinity, stalls: { topics: ['bench'], afterMs: 0, forMs: 600_000 } },
  });
  await subscribed;
  const before = server.usage().rssBytes;
  await publish(behindBytes);
  const after = server.usage().rssBytes;
  return { grownMiB: (after - before) / MiB, rssMiB: after / MiB };
}
