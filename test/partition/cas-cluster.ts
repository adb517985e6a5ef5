import type {
  Cluster,
  PartitionEntry,
  PartitionState,
  UpdateResult,
} from '../../src/coordination/cluster.ts';
import { contradictionIn } from '../../src/coordination/cluster.ts';
import { SluiceError } from '../../src/kernel/errors.ts';

interface Asked {
  readonly expectedRevision: number;
  readonly state: PartitionState;
  readonly resolve: (result: UpdateResult) => void;
  readonly reject: (error: SluiceError) => void;
}

/** The state of one partition with compare-and-swap; answers come when the test says so. */
export class CasCluster implements Pick<Cluster, 'leaseHeld' | 'updatePartition' | 'readPartition'> {
  leaseHeld = true;
  entry: PartitionEntry;
  /** Not yet answered, oldest first. */
  readonly asked: Asked[] = [];
  /** Answers at once. */
  isPrompt = false;
  /** Whether it can be read. */
  isReadable = true;

  constructor(state: PartitionState) {
    this.entry = { topicId: 't1', partition: 0, state, revision: 1 };
  }

  readPartition(): Promise<PartitionEntry> {
    if (this.isReadable) return Promise.resolve(this.entry);
    return Promise.reject(new SluiceError('UNAVAILABLE', 'nobody answers'));
  }

  updatePartition(
    _topicId: string,
    _partition: number,
    expectedRevision: number,
    state: PartitionState,
  ): Promise<UpdateResult> {
    const contradiction = contradictionIn(state);
    if (contradiction) return Promise.reject(new SluiceError('INVALID_ARGUMENT', contradiction));
    return new Promise((resolve, reject) => {
      this.asked.push({ expectedRevision, state, resolve, reject });
      if (this.isPrompt) this.answer();
    });
  }

  /** Somebody else changes the state. */
  put(change: Partial<PartitionState>): PartitionEntry {
    this.entry = {
      ...this.entry,
      state: { ...this.entry.state, ...change },
      revision: this.entry.revision + 1,
    };
    return this.entry;
  }

  /** Carries out the oldest request and answers it, or does not. @param answer `lost`: done or not, the asker hears nothing but TIMEOUT */
  answer(outcome: 'answered' | 'done but lost' | 'lost' = 'answered'): void {
    const { expectedRevision, state, resolve, reject } = this.asked.shift()!;
    const isRight = expectedRevision === this.entry.revision;
    if (outcome !== 'lost' && isRight) this.put(state);
    if (outcome !== 'answered') reject(new SluiceError('TIMEOUT', 'no answer'));
    else if (isRight) resolve({ kind: 'updated', entry: this.entry });
    else resolve({ kind: 'conflict', current: this.entry });
  }
}
