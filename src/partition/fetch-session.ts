import type { Clock, Timer } from '../kernel/clock.ts';
import { FetchEntry, bytesOf, refusal } from './fetch-entry.ts';
import type { FetchEntryHost } from './fetch-entry.ts';
import type { Partition } from './partition.ts';
import type {
  FetchPosition,
  FetchRequest,
  FetchResponse,
  FetchedPartition,
  PartitionRef,
} from './replication.ts';

/** What one partition may take of a response at least, so that many of them do not make reads tiny. */
const MIN_SHARE_BYTES = 64 * 1024;
/** What a partition takes of a response beside its batches, roughly. */
const OVERHEAD_BYTES = 64;
/** What one session reads ahead from disks, bytes; more waits until some of it is answered. */
const MAX_READ_BYTES = 4 * 1024 * 1024;
/**
 * How long news of watermarks alone wait for batches that go there anyway, where nobody reads them, milliseconds. Each would be an answer and a request more for
 * every batch with `acks: all`.
 */
const NEWS_WAIT_MS = 25;

/** What sessions are made with. */
export interface FetchSessionParts {
  readonly clock: Clock;
  /** The replica this node has; undefined: none, or not yet. */
  readonly find: (topicId: string, partition: number) => Partition | undefined;
}

interface Parked {
  readonly request: FetchRequest;
  readonly resolve: (response: FetchResponse) => void;
  readonly timer: Timer;
}

/**
 * What one follower node fetches here: its partitions, in the order in which they have something to say, and the request that waits for it.
 *
 *     partition changes ──> ready: p7 p2 p9 ──> response: p7 p2, until it is full ──> next response: p9 …
 *
 * A partition that has been answered comes back at the end, so each gets its turn. One of which there is nothing new costs nothing. Watermarks that nobody waits
 * for go with the next response, or a little later.
 */
export class FetchSession implements FetchEntryHost {
  readonly id: number;
  readonly nodeId: string;
  readonly #parts: FetchSessionParts;
  readonly #entries = new Map<string, FetchEntry>();
  readonly #ready = new Set<FetchEntry>();
  /** Those of which there are news that nobody waits for. */
  readonly #patient = new Set<FetchEntry>();
  #news: Timer | undefined;
  /** Those of followers that are not in sync: every request is a sign of life for them. */
  readonly #outside = new Set<FetchEntry>();
  /** Those for which the disk is or was read and that have not been answered since. */
  readonly #reads = new Set<FetchEntry>();
  /** Of positions for which there is no replica here. */
  #refusals: FetchedPartition[] = [];
  #parked: Parked | undefined;
  #nextSequence = 0;
  #isWaking = false;

  constructor(id: number, nodeId: string, parts: FetchSessionParts) {
    this.id = id;
    this.nodeId = nodeId;
    this.#parts = parts;
  }

  /** Sequence of the request that has to come next. */
  get nextSequence(): number {
    return this.#nextSequence;
  }

  /** Partitions in it. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Takes in a request and answers it when there is something to say, at the latest after its `maxWaitMs`. One that still waits is answered
   * with what there is.
   */
  fetch(request: FetchRequest): Promise<FetchResponse> {
    this.#release();
    this.#nextSequence = request.sequence + 1;
    for (const ref of request.forgotten) this.#drop(keyOf(ref));
    for (const position of request.changed) this.#name(position, request.received);
    this.#repeat();
    return new Promise((resolve) => {
      const timer = this.#parts.clock.setTimer(request.maxWaitMs, () => this.#release());
      this.#parked = { request, resolve, timer };
      this.#answer();
    });
  }

  /** Forgets all; a request that waits is told that the session is over. Idempotent. */
  close(): void {
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
    this.#ready.clear();
    this.#patient.clear();
    this.#news?.cancel();
    this.#outside.clear();
    this.#reads.clear();
    const parked = this.#unpark();
    parked?.resolve(sessionOver(parked.request));
  }

  entryReady(entry: FetchEntry): void {
    this.#ready.add(entry);
    if (!this.#parked || this.#isWaking) return;
    // What else changes in this turn goes with it, and whoever changed it is not held up.
    this.#isWaking = true;
    queueMicrotask(() => {
      this.#isWaking = false;
      this.#answer();
    });
  }

  entryPatient(entry: FetchEntry): void {
    this.#patient.add(entry);
    this.#news ??= this.#parts.clock.setTimer(NEWS_WAIT_MS, () => {
      this.#urge();
      this.#answer();
    });
  }

  entryOutside(entry: FetchEntry): void {
    this.#outside.add(entry);
  }

  #name(position: FetchPosition, received: number): void {
    const key = keyOf(position);
    const target = this.#parts.find(position.topicId, position.partition);
    const known = this.#entries.get(key);
    if (known && known.target === target) {
      known.take(position, received);
      return;
    }
    this.#drop(key);
    if (target) this.#entries.set(key, new FetchEntry(this, target, position));
    else this.#refusals.push(refusal(position, 'UNAVAILABLE'));
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    entry.close();
    this.#entries.delete(key);
    this.#ready.delete(entry);
    this.#patient.delete(entry);
    this.#outside.delete(entry);
    this.#reads.delete(entry);
  }

  /** What has waited goes with the next response. */
  #urge(): void {
    this.#news?.cancel();
    this.#news = undefined;
    for (const entry of this.#patient) if (entry.urge()) this.#ready.add(entry);
    this.#patient.clear();
  }

  #repeat(): void {
    if (this.#outside.size === 0) return;
    const outside = [...this.#outside];
    this.#outside.clear();
    for (const entry of outside) entry.repeat();
  }

  /** Answers the request that waits, with nothing if need be. */
  #release(): void {
    const parked = this.#parked;
    if (parked) this.#respond(parked.request, this.#compose(parked.request));
  }

  /** Answers the request that waits if there is something to say. */
  #answer(): void {
    const parked = this.#parked;
    if (!parked || (this.#ready.size === 0 && this.#refusals.length === 0)) return;
    const partitions = this.#compose(parked.request);
    if (partitions.length > 0) this.#respond(parked.request, partitions);
  }

  #respond({ sequence }: FetchRequest, partitions: readonly FetchedPartition[]): void {
    this.#unpark()?.resolve({ sessionId: this.id, sequence, partitions });
  }

  #unpark(): Parked | undefined {
    const parked = this.#parked;
    this.#parked = undefined;
    parked?.timer.cancel();
    return parked;
  }

  #compose({ sequence, maxBytes }: FetchRequest): FetchedPartition[] {
    this.#urge();
    const partitions = this.#refusals;
    this.#refusals = [];
    let leftBytes = maxBytes;
    let isEmpty = true;
    let remaining = this.#ready.size;
    for (const entry of this.#ready) {
      // What has become ready meanwhile has its turn in the next response.
      if (remaining === 0 || leftBytes <= 0) break;
      const share = Math.max(MIN_SHARE_BYTES, Math.floor(leftBytes / remaining--));
      if (this.#isTooMuch(entry)) continue;
      const room = {
        sequence,
        maxBytes: Math.min(share, leftBytes),
        leftBytes: isEmpty ? Infinity : leftBytes,
      };
      const answer = entry.answer(room);
      if (answer === 'later') break;
      this.#ready.delete(entry);
      if (entry.readBytes > 0) this.#reads.add(entry);
      else this.#reads.delete(entry);
      if (!answer) continue;
      partitions.push(answer);
      leftBytes -= bytesOf(answer.batches) + OVERHEAD_BYTES;
      if (answer.batches.length > 0) isEmpty = false;
      if (answer.error) this.#drop(keyOf(answer));
    }
    return partitions;
  }

  /** It would read from the disk, and there is enough of that under way. */
  #isTooMuch(entry: FetchEntry): boolean {
    if (!entry.isOnDisk || entry.readBytes > 0) return false;
    let bytes = 0;
    for (const { readBytes } of this.#reads) bytes += readBytes;
    return bytes >= MAX_READ_BYTES;
  }
}

/** Answer to a request of a session that is not known (any more). */
export function sessionOver({ sessionId, sequence }: FetchRequest): FetchResponse {
  return { sessionId, sequence, error: 'CLOSED', partitions: [] };
}

function keyOf({ topicId, partition }: PartitionRef): string {
  return `${topicId}/${partition}`;
}
