/** What memory a node uses that is not garbage, for tests that are about what it keeps: garbage comes and goes by hundreds of megabytes. */
import type { NodeProcess } from './node-process.ts';

/** For the environment of a node whose memory is to be measured: what it frees goes back to the system at once. It must not log much before that. */
export const MEASURED = { NODE_OPTIONS: '--inspect=127.0.0.1:0', MALLOC_MMAP_THRESHOLD_: '16384' };

interface Reply {
  readonly id?: number;
  readonly result?: { readonly result?: { readonly value?: number } };
}

/**
 * Has a node collect all its garbage.
 *
 * @param node started with {@link MEASURED}
 * @returns bytes of its heap and of the buffers outside of it
 * @throws Error when its debugger is not there, or ends
 */
export async function memoryInUse(node: NodeProcess): Promise<number> {
  // A process that was started again has listened again.
  const url = [...node.log.matchAll(/ws:\/\/\S+/g)].at(-1)?.[0];
  if (url === undefined) throw new Error(`the node does not listen for a debugger: ${node.log}`);
  using inspector = await Inspector.connect(url);
  // What the first collection finalizes is freed by the second.
  for (let n = 0; n < 2; n++) await inspector.ask('HeapProfiler.collectGarbage');
  const expression = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())';
  const { result } = await inspector.ask('Runtime.evaluate', { expression });
  const bytes = result?.result?.value;
  if (bytes === undefined) throw new Error('the node does not say how much memory it uses');
  return bytes;
}

/** Asks the debugger of a process. */
class Inspector implements Disposable {
  readonly #socket: WebSocket;
  readonly #asked = new Map<number, PromiseWithResolvers<Reply>>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const reply = JSON.parse(String(data)) as Reply;
      this.#asked.get(reply.id ?? 0)?.resolve(reply);
    };
    socket.onclose = () => {
      for (const { reject } of this.#asked.values()) reject(new Error('the debugger has ended'));
    };
  }

  static connect(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve(new Inspector(socket));
      socket.onerror = () => reject(new Error(`nobody listens at ${url}`));
    });
  }

  ask(method: string, params: object = {}): Promise<Reply> {
    const id = ++this.#lastId;
    const asked = Promise.withResolvers<Reply>();
    this.#asked.set(id, asked);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return asked.promise;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
