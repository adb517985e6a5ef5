/**
 * Throughput and round trip of the QUIC transport between two processes on loopback.
 *
 *     node bench/micro/transport.ts [--seconds 3] [--runs 3] [--prototype FOLDER]
 *
 * One stream of 64 KiB chunks from server to client, then round trips of 128 bytes; with packets of the loopback size and
 * forced to 1,350 bytes. With a folder of the prototype it runs that one too, in turn with ours, so that the ratio is one of
 * the same minutes. Prints JSON; rates are medians of the runs.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { systemRandom } from '../../src/kernel/random.ts';
import { systemClock } from '../../src/kernel/system-clock.ts';
import { DEFAULT_LIMITS } from '../../src/transport/limits.ts';
import { createQuicTransport } from '../../src/transport/quic/quic-transport.ts';
import type { BidiStream, Connection, SendStream, TlsIdentity } from '../../src/transport/transport.ts';
import { makeAuthority } from '../../test/support/certificates.ts';
import { runPrototype, stagePrototype } from './transport-prototype.ts';

const CHUNK_BYTES = 64 * 1024;
const PING_BYTES = 128;

/** What one run measured. */
export interface Sample {
  readonly megabytesPerSecond: number;
  readonly roundTripP50Us: number;
  readonly roundTripP99Us: number;
}

interface ServerOrder {
  readonly identity: TlsIdentity;
  readonly packetBytes: number | undefined;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    runs: { type: 'string', default: '3' },
    prototype: { type: 'string' },
    serve: { type: 'boolean', default: false },
  },
});
if (values.serve) await serve();
else await main(Number(values.seconds), Number(values.runs));

async function main(seconds: number, runs: number): Promise<void> {
  const authority = await makeAuthority();
  const identity = await authority.issue({ names: ['localhost'], ips: ['127.0.0.1'] });
  const staged =
    values.prototype === undefined ? undefined : await stagePrototype(values.prototype, identity);
  const loopback: Sample[] = [];
  const path: Sample[] = [];
  const prototype: Sample[] = [];
  for (let run = 0; run < runs; run += 1) {
    path.push(await measure({ identity, packetBytes: 1350 }, authority.certificatePem, seconds));
    if (staged !== undefined) prototype.push(await runPrototype(staged, seconds));
    loopback.push(await measure({ identity, packetBytes: undefined }, authority.certificatePem, seconds));
  }
  const medianPath = median(path);
  const medianPrototype = prototype.length > 0 ? median(prototype) : undefined;
  const result = {
    benchmark: 'transport',
    node: process.version,
    cores: cpus().length,
    seconds,
    path1350: { median: medianPath, samples: path },
    loopback: { median: median(loopback), samples: loopback },
    ...(medianPrototype === undefined
      ? {}
      : {
          prototype1350: { median: medianPrototype, samples: prototype },
          ratioToPrototype: medianPath.megabytesPerSecond / medianPrototype.megabytesPerSecond,
        }),
  };
  console.log(JSON.stringify(result, undefined, 2));
}

async function measure(order: ServerOrder, authoritiesPem: string, seconds: number): Promise<Sample> {
  const child = spawn(process.execPath, [import.meta.filename, '--serve'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    child.stdin.write(`${JSON.stringify(order)}\n`);
    const port = Number(await firstLine(child));
    const transport = createQuicTransport({
      clock: systemClock,
      random: systemRandom,
      ...(order.packetBytes === undefined ? {} : { packetBytes: order.packetBytes }),
    });
    const connection = await transport.connect({
      host: '127.0.0.1',
      port,
      serverName: undefined,
      authoritiesPem,
      identity: undefined,
      limits: DEFAULT_LIMITS,
      signal: undefined,
    });
    const megabytesPerSecond = await download(connection, seconds);
    const roundTrips = await ping(connection, seconds);
    connection.close(0, '');
    return { megabytesPerSecond, roundTripP50Us: roundTrips.p50Us, roundTripP99Us: roundTrips.p99Us };
  } finally {
    child.stdin.end();
    await once(child, 'exit');
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) return line;
  throw new Error('the server of the benchmark ended');
}

/** Asks for `seconds` of chunks and counts what comes. */
function download(connection: Connection, seconds: number): Promise<number> {
  return new Promise((resolve) => {
    let bytes = 0;
    let startMs = 0;
    connection.onStream = ({ receive }) => {
      startMs = performance.now();
      receive!.onData = (chunk) => {
        bytes += chunk.byteLength;
      };
      receive!.onEnd = () => {
        resolve(bytes / 1e6 / ((performance.now() - startMs) / 1000));
      };
    };
    const request = connection.openUni();
    request.write(Buffer.from(String(seconds)));
    request.end();
  });
}

function ping(connection: Connection, seconds: number): Promise<{ p50Us: number; p99Us: number }> {
  return new Promise((resolve) => {
    const stream = connection.openBidi();
    const payload = Buffer.alloc(PING_BYTES, 1);
    const timesUs: number[] = [];
    const endMs = performance.now() + seconds * 1000;
    let sentMs = 0;
    let got = 0;
    const next = (): void => {
      sentMs = performance.now();
      got = 0;
      stream.send.write(payload);
    };
    stream.receive.onData = (chunk) => {
      got += chunk.byteLength;
      if (got < PING_BYTES) return;
      timesUs.push((performance.now() - sentMs) * 1000);
      if (performance.now() < endMs) next();
      else {
        timesUs.sort((a, b) => a - b);
        const at = (share: number): number => timesUs[Math.floor(timesUs.length * share)]!;
        resolve({ p50Us: at(0.5), p99Us: at(0.99) });
      }
    };
    next();
  });
}

/** The server's process: order on standard input, port on standard output, ends with its input. */
async function serve(): Promise<void> {
  let order: ServerOrder | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    order = JSON.parse(line) as ServerOrder;
    const { packetBytes } = order;
    const transport = createQuicTransport({
      clock: systemClock,
      random: systemRandom,
      ...(packetBytes === undefined ? {} : { packetBytes }),
    });
    const listener = await transport.listen(
      {
        host: '127.0.0.1',
        port: 0,
        identity: order.identity,
        clientAuthoritiesPem: undefined,
        requireClientCertificate: false,
        limits: DEFAULT_LIMITS,
      },
      (connection) => {
        connection.onStream = (stream) => {
          if (stream.send !== undefined) echo(stream as BidiStream);
          else stream.receive!.onData = (seconds) => pump(connection.openUni(), Number(seconds.toString()));
        };
      },
    );
    console.log(listener.port);
  }
  process.exit(0);
}

function echo(stream: BidiStream): void {
  stream.receive.onData = (chunk) => stream.send.write(Buffer.from(chunk));
}

function pump(send: SendStream, seconds: number): void {
  const chunk = Buffer.alloc(CHUNK_BYTES, 97);
  const endMs = performance.now() + seconds * 1000;
  send.onWritable = () => {
    while (performance.now() < endMs) if (!send.write(chunk)) return;
    send.end();
  };
  send.onWritable();
}

function median(samples: readonly Sample[]): Sample {
  const of = (pick: (sample: Sample) => number): number => {
    const sorted = samples.map(pick).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  };
  return {
    megabytesPerSecond: of((sample) => sample.megabytesPerSecond),
    roundTripP50Us: of((sample) => sample.roundTripP50Us),
    roundTripP99Us: of((sample) => sample.roundTripP99Us),
  };
}
