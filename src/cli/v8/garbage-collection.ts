import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/*
 * Batches lie outside of V8's heap, which by default collects all garbage again after every few tens of megabytes that were allocated there,
 * however much is retained: at 100 MB/s a third of the broker's time. With this it does so when heap and batches together have grown by a share
 * of what they are (docs/adr/0009). Imported before anything else is allocated.
 */
setFlagsFromString('--external-memory-accounted-in-global-limit');

/*
 * Some seconds after it was busy, V8 collects all garbage twice to give memory back, and makes the young generation small. A broker with 200 records a
 * second passes for idle, and they wait for 25 ms then, and for a short collection every 250 ms from there on: V8 is to leave that.
 */
setFlagsFromString('--memory-reducer-gc-count=0');

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
 * start: what reading thousands of logs leaves behind would stay until as much again has been allocated, and the first clients' records would wait for the
 * collection, which takes longest then, because what lives on of the modules is still in the young generation.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  // Where it is exposed only a context that is new sees it.
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
