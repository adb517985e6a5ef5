/** What memory a node uses that is not garbage, for tests that are about what it keeps: garbage comes and goes by hundreds of megabytes. */
import { Debugger } from './debugger.ts';
import type { NodeProcess } from './node-process.ts';

/** For the environment of a node whose memory is to be measured: what it frees goes back to the system at once. It must not log much before that. */
export const MEASURED = { NODE_OPTIONS: '--inspect=127.0.0.1:0', MALLOC_MMAP_THRESHOLD_: '16384' };

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
  using debug = await Debugger.connect(url);
  // What the first collection finalizes is freed by the second.
  for (let n = 0; n < 2; n++) await debug.ask('HeapProfiler.collectGarbage');
  const used = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())';
  return (await debug.evaluate(used)) as number;
}
