import { setFlagsFromString } from 'node:v8';

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
