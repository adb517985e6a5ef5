/**
 * What the way between two nodes carries, over mutual TLS on loopback between two processes.
 *
 *     node bench/micro/peer.ts [--seconds 3] [--runs 3]
 *
 * Replicate: a follower that keeps two requests on their way, answered from memory with 1 MiB in batches of 64 KiB or 4 KiB.
 * Forward: publishes of 1 KiB batches that hold 8 records, and of 128 bytes that hold one, with so many unanswered at once. Prints JSON;
 * medians of the runs. CPU is user and system time of each process.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { systemRandom } from '../../src/kernel/random.ts';
import { SluiceError } from '../../src/kernel/errors.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import type { FetchRequest } from '../../src/partition/replication.ts';
import { PeerClient } from '../../src/peer/peer-client.ts';
import { PeerServer } from '../../src/peer/peer-server.ts';
import { DEFAULT_PEER_SETTINGS } from '../../src/peer/peer-settings.ts';
import type { ForwardedPublish, PeerServices } from '../../src/peer/ports.ts';
import { silentLogger } from '../../src/telemetry/logger.ts';
import type { GrpcTls } from '../../src/transport/grpc/grpc-tls.ts';
import { NodeAuthority } from '../../test/support/node-certificates.ts';
import { median } from '../support/statistics.ts';

const MiB = 1024 * 1024;
const COMMON = { cluster: 'main', settings: DEFAULT_PEER_SETTINGS, clock: systemClock };

interface ServerOrder {
  readonly tls: GrpcTls;
  readonly batchBytes: number;
}

type Sample = Record<string, number>;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    runs: { type: 'string', default: '3' },
    serve: { type: 'boolean', default: false },
  },
});
if (values.serve) await serve();
else await main(Number(values.seconds), Number(values.runs));

async function main(seconds: number, runs: number): Promise<void> {
  const authority = await NodeAuthority.create();
  const tls = { a: await authority.tls('a'), b: await authority.tls('b') };
  const scenarios: Record<string, (client: PeerClient) => Promise<Sample>> = {};
  const sizes: Record<string, number> = { 'replicate 64 KiB': 64 * 1024, 'replicate 4 KiB': 4 * 1024 };
  for (const name of Object.keys(sizes)) scenarios[name] = (client) => replicate(client, seconds);
  scenarios['forward 1 KiB of 8 records, 256 unanswered'] = (client) =>
    publish(client, seconds, 1024, 8, 256);
  scenarios['forward 128 B of 1 record, 1000 unanswered'] = (client) =>
    publish(client, seconds, 128, 1, 1000);
  scenarios['forward 128 B of 1 record, 1 unanswered'] = (client) => publish(client, seconds, 128, 1, 1);
  const results: Record<string, unknown> = {};
  for (const [name, run] of Object.entries(scenarios)) {
    const samples: Sample[] = [];
    for (let n = 0; n < runs; n += 1) {
      samples.push(await measure({ tls: tls.b, batchBytes: sizes[name] ?? 0 }, tls.a, run));
    }
    const keys = Object.keys(samples[0]!);
    results[name] = {
      ...Object.fromEntries(keys.map((key) => [key, median(samples.map((sample) => sample[key]!))])),
      samples,
    };
  }
  console.log(
    JSON.stringify(
      { benchmark: 'peer', node: process.version, cores: cpus().length, seconds, results },
      undefined,
      2,
    ),
  );
}

/** Runs against a fresh server, after a moment to warm up, and adds what both processes used. */
async function measure(
  order: ServerOrder,
  tls: GrpcTls,
  run: (client: PeerClient) => Promise<Sample>,
): Promise<Sample> {
  const child = spawn(process.execPath, [import.meta.filename, '--serve'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const ask = async (text: string): Promise<string> => {
    child.stdin.write(`${text}\n`);
    const [line] = (await once(lines, 'line')) as [string];
    return line;
  };
  try {
    const port = await ask(JSON.stringify(order));
    const client = new PeerClient({
      ...{ ...COMMON, tls, random: systemRandom, log: silentLogger },
      addressOf: () => `127.0.0.1:${port}`,
    });
    await run(client);
    const server = Number(await ask('cpu'));
    const own = cpuMs();
    const sample = await run(client);
    const used = { caller: cpuMs() - own, server: Number(await ask('cpu')) - server };
    client.close();
    const { megabytes, publishes, seconds: tookSeconds, ...more } = sample;
    return {
      megabytesPerSecond: megabytes! / tookSeconds!,
      callerCpuMsPerMegabyte: used.caller / megabytes!,
      serverCpuMsPerMegabyte: used.server / megabytes!,
      ...(publishes === undefined
        ? {}
        : {
            publishesPerSecond: publishes / tookSeconds!,
            callerCpuUsPerPublish: (used.caller * 1000) / publishes,
            serverCpuUsPerPublish: (used.server * 1000) / publishes,
          }),
      ...more,
    };
  } finally {
    await end(child);
  }
}

async function replicate(client: PeerClient, seconds: number): Promise<Sample> {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  let bytes = 0;
  let sequence = 0;
  const follow = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const request: FetchRequest = {
        ...{ sessionId: 1, sequence: sequence++, received: -1, forgotten: [], maxBytes: MiB, maxWaitMs: 500 },
        changed: [
          {
            ...{ topicId: 't', partition: 0, leaderEpoch: 1 },
            ...{ fetchOffset: 0, durableOffset: 0, lastEpoch: 1, durableStart: 0, unread: false },
          },
        ],
      };
      const { partitions } = await client.fetch('b', request);
      for (const { batches } of partitions) for (const batch of batches) bytes += batch.length;
    }
  };
  await Promise.all([follow(), follow()]);
  return { megabytes: bytes / 1e6, seconds: (performance.now() - startMs) / 1000 };
}

async function publish(
  client: PeerClient,
  seconds: number,
  bytes: number,
  records: number,
  unanswered: number,
): Promise<Sample> {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const messagesBefore = client.counters.messages;
  let publishes = 0;
  const partition = (n: number): ForwardedPublish => ({
    ...{ topicId: '2f1c9d3e-7c40-4b5e-9a0c-0d6f0c8f2b11', partition: n % 16, leaderEpoch: 1, acks: 2 },
    batch: Buffer.allocUnsafeSlow(bytes),
  });
  await new Promise<void>((resolve, reject: (error: Error) => void) => {
    let open = 0;
    const next = (n: number): void => {
      open += 1;
      client.forward('b', partition(n), (answer) => {
        open -= 1;
        if (answer instanceof SluiceError) reject(answer);
        publishes += 1;
        if (performance.now() < endMs) next(n);
        else if (open === 0) resolve();
      });
    };
    for (let n = 0; n < unanswered; n += 1) next(n);
  });
  const tookSeconds = (performance.now() - startMs) / 1000;
  return {
    megabytes: (publishes * bytes) / 1e6,
    publishes,
    seconds: tookSeconds,
    recordsPerSecond: (publishes * records) / tookSeconds,
    publishesPerMessage: publishes / (client.counters.messages - messagesBefore),
  };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function end(child: ChildProcess): Promise<void> {
  child.stdin!.end();
  await once(child, 'exit');
}

/** The server's process: an order on standard input, then `cpu` as often as wanted; ends with its input. */
async function serve(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'cpu') {
      console.log(cpuMs());
      continue;
    }
    const { tls, batchBytes } = JSON.parse(line) as ServerOrder;
    const server = await PeerServer.listen(
      { ...COMMON, tls, host: '127.0.0.1', port: 0, log: silentLogger },
      servicesOf(batchBytes),
    );
    console.log(server.port);
  }
  process.exit(0);
}

function servicesOf(batchBytes: number): PeerServices {
  const batches =
    batchBytes === 0 ? [] : Array.from({ length: MiB / batchBytes }, () => Buffer.alloc(batchBytes, 97));
  const ends = { logStart: 0, logEnd: 1, highWatermark: 1 };
  const partition = { topicId: 't', partition: 0, leaderEpoch: 1, ...ends, batches };
  const unused = () => Promise.reject(new SluiceError('UNSUPPORTED', 'not measured'));
  return {
    replication: {
      fetch: (_, { sessionId, sequence }) =>
        Promise.resolve({ sessionId, sequence, partitions: [partition] }),
      forget: () => undefined,
    },
    forwards: { forward: (_, done) => done({ kind: 'appended', baseOffset: 1, appendTimeMs: 0 }) },
    partitions: { describe: () => [], listOffsets: unused, deleteRecords: unused },
    copies: { read: unused },
    groups: { coordinate: unused },
  };
}
