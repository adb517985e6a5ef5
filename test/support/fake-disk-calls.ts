import type { SeededRandom } from './seeded-random.ts';

/** The system calls there are. `sync` is that of a file. */
export type CallKind =
  | 'open'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'size'
  | 'close'
  | 'readFile'
  | 'list'
  | 'makeDirectory'
  | 'rename'
  | 'removeFile'
  | 'removeDirectory'
  | 'syncDirectory';

/** One system call. */
export interface DiskCall {
  readonly kind: CallKind;
  readonly path: string;
  /** Of a write; 0 of every other call. */
  readonly bytes: number;
}

/** Calls that are to fail. */
export interface FaultRule {
  /** The operating system's code, such as `EIO`. */
  readonly code: string;
  /** Default: every kind that changes the disk; making a file by opening it counts as makeDirectory. */
  readonly kinds?: readonly CallKind[];
  readonly path?: RegExp;
  /** Calls that match and are let through first; default 0. */
  readonly after?: number;
  /** Calls that fail before all is well again; default: all until it is undone. */
  readonly times?: number;
}

/** What a call does to its file when it does not go well. */
export interface CallEffects {
  /** So many bytes of it are done when the disk stops. */
  readonly partly: (bytes: number) => void;
  /** It fails. */
  readonly failed: () => void;
}

const NO_EFFECTS: CallEffects = { partly: () => undefined, failed: () => undefined };

const CHANGING: ReadonlySet<CallKind> = new Set([
  'write',
  'sync',
  'truncate',
  'makeDirectory',
  'rename',
  'removeFile',
  'removeDirectory',
  'syncDirectory',
]);

/** Whether a call of this kind needs a disk, and a file, that can be written to. */
export function isChanging(kind: CallKind): boolean {
  return CHANGING.has(kind);
}

/** An error as Node makes one of what the operating system says. */
export function systemError(code: string, syscall: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${syscall} '${path}'`), { code, syscall, path });
}

/** What happens to the calls of a fake disk before, or in place of, what they are for. */
export class FakeDiskCalls {
  /** Every call so far, in the order in which they were made. */
  readonly made: DiskCall[] = [];
  readonly #random: SeededRandom;
  #rules: { rule: FaultRule; seen: number }[] = [];
  #holds: { kinds: readonly CallKind[]; over: Promise<unknown> }[] = [];
  #stopAt: { readonly call: number; readonly bytes: number } | undefined;
  readonly #stopped = Promise.withResolvers<undefined>();
  #isStopped = false;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  get stopped(): Promise<unknown> {
    return this.#stopped.promise;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopped.resolve(undefined);
  }

  stopAt(call: number, bytes: number): void {
    this.#stopAt = { call, bytes };
  }

  fail(rule: FaultRule): () => void {
    const entry = { rule, seen: 0 };
    this.#rules.push(entry);
    return () => {
      this.#rules = this.#rules.filter((one) => one !== entry);
    };
  }

  hold(kinds: readonly CallKind[]): () => void {
    const gate = Promise.withResolvers<undefined>();
    const entry = { kinds, over: gate.promise };
    this.#holds.push(entry);
    return () => {
      this.#holds = this.#holds.filter((one) => one !== entry);
      gate.resolve(undefined);
    };
  }

  /** Makes a call: `effect` happens at once, after a while, never, or not. */
  async make<T>(call: DiskCall, effect: () => T, effects = NO_EFFECTS): Promise<T> {
    const number = this.made.length;
    this.made.push(call);
    for (let turns = this.#random.below(3); turns >= 0; turns--) await Promise.resolve();
    for (let held = this.#heldBy(call); held !== undefined; held = this.#heldBy(call)) await held;
    if (number === this.#stopAt?.call && !this.#isStopped) {
      if (this.#stopAt.bytes > 0) effects.partly(this.#stopAt.bytes);
      this.stop();
    }
    if (this.#isStopped) return new Promise<T>(() => undefined);
    try {
      this.refuse(call);
    } catch (error) {
      effects.failed();
      throw error;
    }
    return effect();
  }

  /** @throws the system's error when a rule says so */
  refuse(call: DiskCall): void {
    for (const entry of this.#rules) {
      const { kinds, path, after = 0, times = Infinity, code } = entry.rule;
      if (kinds ? !kinds.includes(call.kind) : !isChanging(call.kind)) continue;
      if (path && !path.test(call.path)) continue;
      entry.seen += 1;
      if (entry.seen > after && entry.seen <= after + times) throw systemError(code, call.kind, call.path);
    }
  }

  #heldBy(call: DiskCall): Promise<unknown> | undefined {
    return this.#isStopped ? undefined : this.#holds.find(({ kinds }) => kinds.includes(call.kind))?.over;
  }
}
