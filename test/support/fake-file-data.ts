import type { SeededRandom } from './seeded-random.ts';

/** What a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;
const PAGE_SECTORS = 8;

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly length: number };

/** For one power loss: which of the versions a sector may have it gets, and up to which change the file's size is known. */
interface Loss {
  /** @returns a version from `low` to `high` */
  readonly versionOf: (sector: number, low: number, high: number) => number;
  readonly sizeKnownAfter: number;
}

/**
 * The bytes of one file, as the page cache has them and as the disk may have them.
 *
 *     on disk for certain ──► change 1 ──► change 2 ──► … ──► change n = what a read sees
 *
 * After a power loss every sector has its content after some change, each on its own, not before the change after which it was
 * made durable; the size is that after some change too. What was cut off never shows its old bytes again once the cut is known.
 */
export class FakeFileData {
  #certain: Buffer;
  #seen: Buffer;
  #changes: Change[] = [];
  /** Changes of the size up to this one are on the disk. */
  #sizeFloor = 0;
  readonly #sectorFloors = new Map<number, number>();
  /** Dirty when a sync failed: the system takes them for clean, so no later sync writes them. */
  readonly #abandoned = new Set<number>();

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.#certain = bytes;
    this.#seen = bytes;
  }

  /** What reads see. Not to be changed. */
  get bytes(): Buffer {
    return this.#seen;
  }

  write(position: number, bytes: Buffer, durable: boolean): void {
    if (bytes.length > 0) {
      const change: Change = { kind: 'write', position, bytes: Buffer.from(bytes) };
      this.#changes.push(change);
      this.#seen = applied(this.#seen, change);
      for (const sector of sectorsOf(position, bytes.length)) this.#abandoned.delete(sector);
    }
    if (durable) this.#settle(sectorsOf(position, bytes.length));
  }

  truncate(length: number): void {
    const change: Change = { kind: 'truncate', length };
    this.#changes.push(change);
    this.#seen = applied(this.#seen, change);
  }

  sync(): void {
    const ends = this.#changes.map((change) =>
      change.kind === 'write' ? change.position + change.bytes.length : change.length,
    );
    this.#settle(sectorsOf(0, Math.max(this.#certain.length, ...ends)));
  }

  /** A sync, or a durable write, that failed: what was dirty stays as it is in memory, and is never written. */
  abandon(): void {
    this.#changes.forEach((change, index) => {
      const sectors =
        change.kind === 'write'
          ? sectorsOf(change.position, change.bytes.length)
          : sectorsOf(change.length, Math.max(0, this.#certain.length - change.length));
      for (const sector of sectors) if (this.#floorOf(sector) <= index) this.#abandoned.add(sector);
    });
  }

  /** The system forgets pages that it takes for clean: what a failed sync left is now read from the disk. */
  dropCaches(): void {
    for (const sector of this.#abandoned) {
      const position = sector * SECTOR_BYTES;
      if (position >= this.#seen.length) continue;
      const end = Math.min(position + SECTOR_BYTES, this.#seen.length);
      const onDisk = this.#contentAfter(this.#floorOf(sector));
      const bytes = Buffer.alloc(end - position);
      onDisk.subarray(position, end).copy(bytes);
      const change: Change = { kind: 'write', position, bytes };
      this.#changes.push(change);
      this.#seen = applied(this.#seen, change);
    }
  }

  /** The same file after the process ended: everything is as it was, also what is not yet durable. */
  copy(): FakeFileData {
    const copy = new FakeFileData(this.#certain);
    copy.#seen = this.#seen;
    copy.#changes = [...this.#changes];
    copy.#sizeFloor = this.#sizeFloor;
    for (const [sector, floor] of this.#sectorFloors) copy.#sectorFloors.set(sector, floor);
    for (const sector of this.#abandoned) copy.#abandoned.add(sector);
    return copy;
  }

  /** The file as it may be after the power was lost. */
  afterPowerLoss(random: SeededRandom): FakeFileData {
    if (this.#changes.length === 0) return new FakeFileData(this.#certain);
    const loss = this.#randomLoss(random);
    const contents = new Map<number, Buffer>();
    const contentAfter = (version: number): Buffer => {
      const known = contents.get(version) ?? this.#contentAfter(version);
      contents.set(version, known);
      return known;
    };
    const result = Buffer.alloc(contentAfter(loss.sizeKnownAfter).length);
    for (const sector of sectorsOf(0, result.length)) {
      const [low, high] = this.#versionsOf(sector, loss.sizeKnownAfter);
      const position = sector * SECTOR_BYTES;
      const version = low >= high ? low : loss.versionOf(sector, low, high);
      contentAfter(version)
        .subarray(position, position + SECTOR_BYTES)
        .copy(result, position);
    }
    return new FakeFileData(result);
  }

  #randomLoss(random: SeededRandom): Loss {
    const count = this.#changes.length;
    const anywhere = random.between(this.#sizeFloor, count);
    const scattered = (grain: number): Loss['versionOf'] => {
      const picks = new Map<number, number>();
      return (sector, low, high) => {
        const page = Math.floor(sector / grain);
        const pick = picks.get(page) ?? random.fraction();
        picks.set(page, pick);
        return low + Math.floor(pick * (high - low + 1));
      };
    };
    return random.pick<Loss>([
      { sizeKnownAfter: this.#sizeFloor, versionOf: (_, low) => low },
      { sizeKnownAfter: count, versionOf: (_, __, high) => high },
      { sizeKnownAfter: count, versionOf: (_, low) => low },
      { sizeKnownAfter: count, versionOf: scattered(1) },
      { sizeKnownAfter: count, versionOf: scattered(PAGE_SECTORS) },
      { sizeKnownAfter: anywhere, versionOf: scattered(1) },
      { sizeKnownAfter: anywhere, versionOf: (_, low, high) => Math.max(low, Math.min(anywhere, high)) },
    ]);
  }

  /** The first and the last version a sector may have when the size after `sizeKnownAfter` changes is known. */
  #versionsOf(sector: number, sizeKnownAfter: number): [low: number, high: number] {
    let low = this.#floorOf(sector);
    let high = this.#changes.length;
    for (let index = this.#changes.length - 1; index >= 0; index--) {
      const change = this.#changes[index]!;
      if (change.kind === 'write' || (sector + 1) * SECTOR_BYTES <= change.length) continue;
      if (index >= sizeKnownAfter) high = index;
      else low = Math.max(low, index + 1);
    }
    return [low, Math.max(low, high)];
  }

  #floorOf(sector: number): number {
    return this.#sectorFloors.get(sector) ?? 0;
  }

  #contentAfter(version: number): Buffer {
    return this.#changes.slice(0, version).reduce(applied, this.#certain);
  }

  /** Everything about `sectors` and the size is on the disk. */
  #settle(sectors: Iterable<number>): void {
    const version = this.#changes.length;
    this.#sizeFloor = version;
    for (const sector of sectors) {
      if (!this.#abandoned.has(sector)) this.#sectorFloors.set(sector, version);
    }
    const dirty = this.#changes.some(
      (change) =>
        change.kind === 'write' &&
        [...sectorsOf(change.position, change.bytes.length)].some((one) => this.#floorOf(one) < version),
    );
    if (dirty) return;
    this.#certain = this.#seen;
    this.#changes = [];
    this.#sectorFloors.clear();
    this.#abandoned.clear();
    this.#sizeFloor = 0;
  }
}

function* sectorsOf(position: number, length: number): Generator<number> {
  if (length <= 0) return;
  const last = Math.floor((position + length - 1) / SECTOR_BYTES);
  for (let sector = Math.floor(position / SECTOR_BYTES); sector <= last; sector++) yield sector;
}

function applied(bytes: Buffer, change: Change): Buffer {
  const end = change.kind === 'write' ? change.position + change.bytes.length : change.length;
  const length = change.kind === 'write' ? Math.max(bytes.length, end) : end;
  const result = Buffer.alloc(length);
  bytes.copy(result);
  if (change.kind === 'write') change.bytes.copy(result, change.position);
  return result;
}
