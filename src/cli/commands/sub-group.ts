import { parseFilter } from '../../catalog/topic-filter.ts';
import type { GroupConsumer, GroupOptions, Position, ReceivedBatch } from '../../client/index.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { withClient } from '../connection.ts';
import { Ending } from '../ending.ts';
import { gapNote, noteConnection, noteIfMissing } from '../records/reading-notes.ts';
import { printerFor } from '../records/record-format.ts';
import type { RecordPrinter } from '../records/record-format.ts';
import { parseStart } from '../records/start-position.ts';
import type { SubFlags } from './sub.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice sub --group`. */
export interface SubGroupFlags extends SubFlags {
  readonly group: string;
  readonly instanceId?: string;
}

/** Partitions that a note names; the others are counted. */
const NAMED_MAX = 8;
/** A member that has got nothing for so long has to do without for now. */
const IDLE_MS = 2000;

/**
 * Prints, as a member of a consumer group, what its partitions bring, and commits what has been printed. It ends as `sub` does.
 *
 * @throws INVALID_ARGUMENT for options that a group does not have; what the node refuses the member with
 */
export function subGroup(
  filter: string,
  flags: SubGroupFlags,
  terminal: Terminal,
): Promise<number | undefined> {
  const options = groupOptions(filter, flags, terminal);
  const ending = new Ending(flags, terminal);
  const print = printerFor(flags, terminal);
  return withClient(terminal, flags, async (client) => {
    const isQuiet = flags.quiet === true;
    const tellMissing = await noteIfMissing(client, filter, terminal, isQuiet);
    const member = client.group(flags.group, options);
    if (!isQuiet) {
      noteConnection(client, terminal);
      note(member, terminal);
    }
    return ending.run(
      () => void member.close(),
      async () => {
        await joined(member);
        tellMissing();
        const idle = isQuiet ? undefined : terminal.clock.setTimer(IDLE_MS, () => noteIdle(member, terminal));
        member.on('assigned', () => idle?.cancel());
        try {
          return await new Printing(member, print, terminal, isQuiet).run(flags.count);
        } finally {
          idle?.cancel();
        }
      },
    );
  });
}

function groupOptions(filter: string, flags: SubGroupFlags, terminal: Terminal): GroupOptions {
  if (flags.delivery !== 'ordered' || flags.onGap !== 'skip' || flags.name !== undefined) {
    throw new SluiceError('INVALID_ARGUMENT', '--delivery, --on-gap and --name cannot be used with --group.');
  }
  if (parseFilter(filter).matchesKey !== undefined) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${filter}: a group takes whole topics, no keys. Name the topic.`,
    );
  }
  return {
    topics: [filter],
    from: parseStart(flags.from, terminal.clock, ['earliest', 'latest']),
    commit: 'manual',
    ...(flags.instanceId !== undefined && { instanceId: flags.instanceId }),
    ...(flags.urgency !== undefined && { urgency: flags.urgency }),
  };
}

/** Resolves when it is a member, or when it was told to end before it could be. */
async function joined(member: GroupConsumer): Promise<void> {
  try {
    await member.ready();
  } catch (error) {
    if (asSluiceError(error).code !== 'CLOSED') throw error;
  }
}

/** Prints batch after batch; each is committed when its lines have left this process. */
class Printing {
  readonly #member: GroupConsumer;
  readonly #print: RecordPrinter;
  readonly #terminal: Terminal;
  readonly #isQuiet: boolean;
  #printed = 0;
  #failure: SluiceError | undefined;

  constructor(member: GroupConsumer, print: RecordPrinter, terminal: Terminal, isQuiet: boolean) {
    this.#member = member;
    this.#print = print;
    this.#terminal = terminal;
    this.#isQuiet = isQuiet;
  }

  /** @returns how many were printed @throws what a commit was refused with, unless the partition went to another member */
  async run(limit: number | undefined): Promise<number> {
    let commit: Promise<void> | undefined;
    for await (const batch of this.#member.batches()) {
      const position = this.#write(batch, limit);
      if (!(await this.#terminal.stdout.flushed())) break;
      // Not waited for: the next batch is printed meanwhile, and commits that come together go together.
      commit = this.#commit(position);
      if (this.#printed === limit || this.#failure !== undefined) break;
    }
    await commit;
    if (this.#failure !== undefined) throw this.#failure;
    return this.#printed;
  }

  #write(batch: ReceivedBatch, limit: number | undefined): Position {
    const { topic, partition } = batch;
    const lines: Uint8Array[] = [];
    let offset = batch.nextOffset;
    for (const record of batch) {
      lines.push(this.#print(record));
      this.#printed += 1;
      if (this.#printed !== limit) continue;
      offset = record.offset + 1;
      break;
    }
    this.#terminal.stdout.write(Buffer.concat(lines));
    return { topic, partition, offset };
  }

  async #commit(position: Position): Promise<void> {
    try {
      await this.#member.commit([position]);
    } catch (error) {
      const known = asSluiceError(error);
      if (!isMoved(known)) this.#failure ??= known;
      else if (!this.#isQuiet) {
        const { topic, partition } = position;
        this.#terminal.stderr.line(
          `sluice: ${topic}/${partition} went to another member before all of it was committed; that one prints some of it again`,
        );
      }
    }
  }
}

/** Whether a commit came too late: the partition is somebody else's. */
function isMoved({ code }: SluiceError): boolean {
  return code === 'STALE_GENERATION' || code === 'UNKNOWN_MEMBER' || code === 'CLOSED';
}

function note(member: GroupConsumer, { stderr }: Terminal): void {
  member.on('gap', (gap) => stderr.line(gapNote(gap)));
  member.on('assigned', ({ partitions }) =>
    stderr.line(`sluice: member of ${member.group}; now reads ${names(partitions)}`),
  );
  member.on('revoked', ({ partitions, lost }) =>
    stderr.line(
      `sluice: ${lost ? 'was taken for gone, and reads no more' : 'gives up'} ${names(partitions)}`,
    ),
  );
}

function noteIdle(member: GroupConsumer, { stderr }: Terminal): void {
  if (member.assignment().length > 0) return;
  stderr.line(`sluice: member of ${member.group}; no partition is left for it: the others have them all`);
}

function names(partitions: readonly Position[]): string {
  const all = partitions.map(({ topic, partition }) => `${topic}/${partition}`);
  const more = all.length - NAMED_MAX;
  return more <= 0 ? all.join(', ') : `${all.slice(0, NAMED_MAX).join(', ')} and ${more} more`;
}
