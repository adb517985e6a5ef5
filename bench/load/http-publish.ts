import { fileURLToPath } from 'node:url';
import type { HttpOrder, HttpReport } from '../support/http-load.ts';
import { WorkerProcess } from '../support/processes.ts';
import { freePort, ServerProcess } from '../support/server-process.ts';
import type { Row } from '../support/results.ts';
import { row } from '../support/results.ts';

/** How it is run. */
export interface HttpPublishOptions {
  readonly runs: number;
  readonly quick: boolean;
}

interface Sample {
  readonly requestsPerSecond: number;
  /** CPU time of the server for a request, microseconds. */
  readonly cpuMicros: number;
}

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const BARE = fileURLToPath(new URL('../support/bare-http.ts', import.meta.url));
const CONNECTIONS = 64;
const BODY = 'x'.repeat(1024);
const JSON_BODY = JSON.stringify({ key: null, value: BODY });

/** Publishes of 1 KiB on connections that stay, against the same requests to a fastify handler that answers 204. */
export async function httpPublish({ runs, quick }: HttpPublishOptions): Promise<Row[]> {
  const samples: Record<'bare' | 'raw' | 'json' | 'keyed', Sample[]> = {
    bare: [],
    raw: [],
    json: [],
    keyed: [],
  };
  const measureMs = quick ? 2_000 : 8_000;
  for (let run = 0; run < runs; run += 1) {
    await using bare = await startBare();
    await using node = await startNode();
    const raw = requestOf('application/octet-stream', BODY);
    samples.bare.push(await measure(bare.server, bare.port, raw, measureMs));
    samples.raw.push(await measure(node.server, node.port, raw, measureMs));
    samples.json.push(
      await measure(node.server, node.port, requestOf('application/json', JSON_BODY), measureMs),
    );
    const keyed = requestOf('application/octet-stream', BODY, 'x-sluice-key: room1/temp\r\n');
    samples.keyed.push(await measure(node.server, node.port, keyed, measureMs));
  }
  const name = `HTTP publish 1 KiB, ${CONNECTIONS} connections`;
  return (['bare', 'raw', 'json', 'keyed'] as const).flatMap((kind) => {
    const rates = samples[kind].map(({ requestsPerSecond }) => requestsPerSecond);
    const cpu = samples[kind].map(({ cpuMicros }) => cpuMicros);
    const what = kind === 'bare' ? 'bare fastify that answers 204' : kind;
    const rows = [
      row(`${name}, ${what}`, 'requests/s', rates),
      row(`${name}, ${what}, server CPU`, 'µs', cpu),
    ];
    if (kind === 'bare') return rows;
    const ratios = rates.map((rate, run) => rate / samples.bare[run]!.requestsPerSecond);
    return [...rows, row(`${name}, ${kind} / bare`, '×', ratios)];
  });
}

interface HttpServer extends AsyncDisposable {
  readonly server: ServerProcess;
  readonly port: number;
}

async function startBare(): Promise<HttpServer> {
  const server = await ServerProcess.start('bare-http', ({ port }) => ({
    line: [process.execPath, BARE, String(port)],
    ready: /^ready on/,
  }));
  return { server, port: server.place.port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function startNode(): Promise<HttpServer> {
  const port = await freePort();
  const server = await ServerProcess.start('sluice', ({ host, port: quic, folder }) => ({
    line: [
      ...[process.execPath, CLI, 'serve', '--data', `${folder}/data`, '--quic', `${host}:${quic}`],
      ...['--http', `${host}:${port}`, '--log-level', 'error'],
    ],
    ready: /"evt":"node.ready"/,
  }));
  return { server, port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

function requestOf(type: string, body: string, headers = ''): string {
  return (
    `POST /v1/topics/bench/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${type}\r\n` +
    `content-length: ${body.length}\r\n${headers}\r\n${body}`
  );
}

async function measure(
  server: ServerProcess,
  port: number,
  request: string,
  measureMs: number,
): Promise<Sample> {
  await using load = new WorkerProcess<HttpOrder, HttpReport>(
    new URL('../support/http-load.ts', import.meta.url),
  );
  const warmMs = measureMs / 4;
  const done = load.next('measured');
  load.tell({ host: '127.0.0.1', port, request, connections: CONNECTIONS, warmMs, measureMs });
  await new Promise((resolve) => setTimeout(resolve, warmMs));
  const before = { cpu: server.usage().cpuSeconds, ms: performance.now() };
  const { requestsPerSecond } = await done;
  const seconds = (performance.now() - before.ms) / 1e3;
  const cpuSeconds = server.usage().cpuSeconds - before.cpu;
  return { requestsPerSecond, cpuMicros: (cpuSeconds / seconds / requestsPerSecond) * 1e6 };
}
