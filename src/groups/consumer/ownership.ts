import type { Member } from './member.ts';
import type { Place } from './place.ts';

/**
 * Which member of a group has which partition, and which shall have it.
 *
 *     nobody ── grant ──> held ── retarget to another ──> revoking ── giveUp ──> nobody
 *                          ^─────── retarget back ───────────┘
 *
 * A partition has one owner at most. One of a topic that is gone keeps its owner until that has given it up, like any that is taken away: members know
 * partitions by the names of their topics, and would take one of a topic that was made again for the one that they are reading. Members of which
 * something was changed are noted in `changed` until the owner of this takes them.
 */
export class Ownership {
  /** Who shall have what. */
  #target: ReadonlyMap<Place, Member> = new Map();
  readonly #owners = new Map<Place, Member>();
  /** Members whose `held` or `revoking` changed, other than by giving up. */
  readonly changed = new Set<Member>();

  get target(): ReadonlyMap<Place, Member> {
    return this.#target;
  }

  /** Who has a partition, also one that it is giving up. */
  ownerOf(place: Place): Member | undefined {
    return this.#owners.get(place);
  }

  /** All that somebody has. */
  owned(): Iterable<Place> {
    return this.#owners.keys();
  }

  /** What a member had when its state was stored. Where two claim one, which cannot be, the first has it. */
  restore(place: Place, member: Member, since: number, isRevoking: boolean): void {
    if (this.#owners.has(place)) return;
    this.#owners.set(place, member);
    (isRevoking ? member.revoking : member.held).set(place, since);
  }

  /** All is restored: what members hold they shall have. */
  settle(): void {
    this.#target = new Map([...this.#owners].filter(([place, { held }]) => held.has(place)));
  }

  /** From now on others shall have partitions: they are taken from who holds them, and given back to who is giving them up. */
  retarget(target: ReadonlyMap<Place, Member>): void {
    this.#target = target;
    for (const [place, owner] of this.#owners) {
      const [from, to] =
        target.get(place) === owner ? [owner.revoking, owner.held] : [owner.held, owner.revoking];
      const since = from.get(place);
      if (since === undefined) continue;
      from.delete(place);
      to.set(place, since);
      this.changed.add(owner);
    }
  }

  /** What shall have an owner, and has none; without what has the name of something that nobody shall have, and that its owner has not given up. */
  *ungranted(): Generator<readonly [Place, Member]> {
    const left = new Set<string>();
    for (const place of this.#owners.keys()) if (!this.#target.has(place)) left.add(nameOf(place));
    for (const entry of this.#target) {
      if (!this.#owners.has(entry[0]) && !(left.size > 0 && left.has(nameOf(entry[0])))) yield entry;
    }
  }

  /** Whether partitions are on their way. */
  get isMoving(): boolean {
    for (const [place, member] of this.#target) if (!member.held.has(place)) return true;
    return this.#owners.size !== this.#target.size;
  }

  grant(place: Place, member: Member, since: number): void {
    this.#owners.set(place, member);
    member.held.set(place, since);
    this.changed.add(member);
  }

  /** A member has stopped reading what was taken from it. */
  giveUp(member: Member, place: Place): void {
    member.revoking.delete(place);
    this.#owners.delete(place);
  }

  /** A member is out: nobody has what it had. */
  drop(member: Member): void {
    for (const place of [...member.held.keys(), ...member.revoking.keys()]) this.#owners.delete(place);
    member.held.clear();
    member.revoking.clear();
  }

  /** A member goes on in the place of another, which is out: it has what that held, and nobody has what that was giving up. */
  takeOver(from: Member, to: Member, since: number): void {
    const places = [...from.held.keys()];
    this.drop(from);
    for (const place of places) this.grant(place, to, since);
    this.#target = new Map([...this.#target].map(([place, who]) => [place, who === from ? to : who]));
  }

  /** A topic is gone, and nobody shall have anything of it: call {@link retarget}. */
  dropTopic(topicId: string): void {
    this.#target = new Map([...this.#target].filter(([place]) => place.topicId !== topicId));
  }
}

function nameOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}
