import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/*
 * Batches lie outside of V8's heap, which by default collects all garbage again after every few tens of megabytes that were allocated there,
 * however much is retained: at 100 MB/s a third of the broker's time. With this it does so when heap and batches together have grown by a share
 * of what they are (docs/adr/0009). Imported before anything else is allocated.
 */
setFlagsFromString('--external-memory-accounted-in-global-limit');

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/**
 * Bounds V8's young generation to 16 MiB, a quarter of what V8 allows itself. A broker's records live outside the heap, so a larger one buys no
 * speed, and V8 would hold on to it after the start and after every burst of connections.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--scavenger-max-new-space-capacity-mb=8');
}

/**
 * Collects all garbage and gives free memory back to the system; nothing else happens meanwhile, for some tens of milliseconds. For the end of a
 * start: what reading thousands of logs leaves behind would stay until as much again has been allocated.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  // Where it is exposed only a context that is new sees it.
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
