import { FakeFileData } from './fake-file-data.ts';
import type { SeededRandom } from './seeded-random.ts';

/** What a name stands for. */
export type FakeNode = FakeFileData | FakeDirectory;

/** Names that change together: a rename takes one away and gives another. */
type NameChange = readonly (readonly [name: string, node: FakeNode | undefined])[];

/** A directory: the names in it as a process sees them, and as the disk may have them. */
export class FakeDirectory {
  /** Not to be changed by others. */
  readonly entries = new Map<string, FakeNode>();
  #certain = new Map<string, FakeNode>();
  #changes: NameChange[] = [];

  /** Gives names, or takes them away, all at once; not durable before {@link FakeDirectory.sync}. */
  change(change: NameChange): void {
    this.#changes.push(change);
    apply(this.entries, change);
  }

  sync(): void {
    this.#certain = new Map(this.entries);
    this.#changes = [];
  }

  /** The same after the process ended. @param copies what has been copied already: a node can have two names on the way */
  copy(copies = new Map<FakeNode, FakeNode>()): FakeDirectory {
    const copyOf = (node: FakeNode): FakeNode => {
      const known = copies.get(node) ?? (node instanceof FakeDirectory ? node.copy(copies) : node.copy());
      copies.set(node, known);
      return known;
    };
    const copy = new FakeDirectory();
    for (const [name, node] of this.entries) copy.entries.set(name, copyOf(node));
    for (const [name, node] of this.#certain) copy.#certain.set(name, copyOf(node));
    copy.#changes = this.#changes.map((change) => change.map(([name, node]) => [name, node && copyOf(node)]));
    return copy;
  }

  /** The directory with all in it as it may be after the power was lost: each change of names is kept or not, on its own. */
  afterPowerLoss(random: SeededRandom, done = new Map<FakeNode, FakeNode>()): FakeDirectory {
    const names = new Map(this.#certain);
    const share = random.pick([0, 0.5, 0.9, 1]);
    for (const change of this.#changes) if (random.chance(share)) apply(names, change);
    const result = new FakeDirectory();
    for (const [name, node] of names) {
      const known =
        done.get(node) ??
        (node instanceof FakeDirectory ? node.afterPowerLoss(random, done) : node.afterPowerLoss(random));
      done.set(node, known);
      result.entries.set(name, known);
    }
    result.sync();
    return result;
  }
}

function apply(names: Map<string, FakeNode>, change: NameChange): void {
  for (const [name, node] of change) {
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}

/** Bytes of all files below a directory. */
export function bytesBelow(directory: FakeDirectory): number {
  let bytes = 0;
  for (const node of directory.entries.values()) {
    bytes += node instanceof FakeFileData ? node.bytes.length : bytesBelow(node);
  }
  return bytes;
}
