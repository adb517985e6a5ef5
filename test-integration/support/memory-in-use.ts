/** What memory a node uses that is not garbage, for tests that are about what it keeps: garbage comes and goes by hundreds of megabytes. */
import { once } from 'node:events';
import type { NodeProcess } from './node-process.ts';

/** For the environment of a node whose memory is to be measured: what it frees goes back to the system at once. */
export const MEASURED = { NODE_OPTIONS: '--inspect=127.0.0.1:0', MALLOC_MMAP_THRESHOLD_: '16384' };

interface Reply {
  readonly id?: number;
  readonly result?: { readonly result?: { readonly value?: number } };
}

/**
 * Has a node collect all its garbage.
 * @param node started with {@link MEASURED}
 * @returns bytes of its heap and of the buffers outside of it
 */
export async function memoryInUse(node: NodeProcess): Promise<number> {
  const [url] = /ws:\/\/\S+/.exec(node.log) ?? [];
  if (url === undefined) throw new Error(`the node does not listen for a debugger: ${node.log}`);
  const socket = new WebSocket(url);
  try {
    await once(socket, 'open');
    // What the first collection finalizes is freed by the second.
    for (let n = 0; n < 2; n++) await ask(socket, 'HeapProfiler.collectGarbage');
    const expression = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())';
    const { result } = await ask(socket, 'Runtime.evaluate', { expression });
    const bytes = result?.result?.value;
    if (bytes === undefined) throw new Error('the node does not say how much memory it uses');
    return bytes;
  } finally {
    socket.close();
  }
}

async function ask(socket: WebSocket, method: string, params: object = {}): Promise<Reply> {
  const id = ++lastId;
  socket.send(JSON.stringify({ id, method, params }));
  for (;;) {
    const [{ data }] = (await once(socket, 'message')) as [{ readonly data: string }];
    const reply = JSON.parse(data) as Reply;
    if (reply.id === id) return reply;
  }
}

let lastId = 0;
