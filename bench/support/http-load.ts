/** A process that makes HTTP requests as fast as they are answered, on connections that stay; it gets its order over IPC. */
import { connect } from 'node:net';

/** What to ask. */
export interface HttpOrder {
  readonly host: string;
  readonly port: number;
  /** All bytes of one request. */
  readonly request: string;
  /** Each has one request under way. */
  readonly connections: number;
  readonly warmMs: number;
  readonly measureMs: number;
}

/** What came of it. */
export type HttpReport =
  | {
      readonly kind: 'measured';
      readonly requestsPerSecond: number;
      /** Cores that this process used meanwhile. */
      readonly cores: number;
    }
  | { readonly kind: 'failed'; readonly message: string };

const HEAD_END = Buffer.from('\r\n\r\n');

let answered = 0;

function fail(message: string): void {
  process.send!({ kind: 'failed', message } satisfies HttpReport);
}

/** Bytes of the answer that `received` begins with; undefined while it is not all there. */
function answerBytes(received: Buffer): number | undefined {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = received.toString('latin1', 0, headEnd);
  if (!head.startsWith('HTTP/1.1 2')) fail(received.toString());
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? '0';
  const bytes = headEnd + HEAD_END.length + Number(length);
  return received.length >= bytes ? bytes : undefined;
}

function ask({ host, port, request }: HttpOrder): void {
  const bytes = Buffer.from(request, 'latin1');
  const socket = connect({ host, port, noDelay: true });
  let received: Buffer = Buffer.alloc(0);
  socket.on('error', (error) => fail(error.message));
  socket.on('connect', () => socket.write(bytes));
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const end = answerBytes(received);
    if (end === undefined) return;
    received = received.subarray(end);
    answered += 1;
    socket.write(bytes);
  });
}

process.on('message', (order: HttpOrder) => {
  for (let n = 0; n < order.connections; n += 1) ask(order);
  setTimeout(() => {
    const [begin, beginMs, cpu] = [answered, performance.now(), process.cpuUsage()];
    setTimeout(() => {
      const seconds = (performance.now() - beginMs) / 1e3;
      const { user, system } = process.cpuUsage(cpu);
      process.send!({
        kind: 'measured',
        requestsPerSecond: (answered - begin) / seconds,
        cores: (user + system) / 1e6 / seconds,
      } satisfies HttpReport);
    }, order.measureMs);
  }, order.warmMs);
});
