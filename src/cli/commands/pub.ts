import type { DeliveryTimes, Producer, ProducerOptions } from '../../client/index.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import { withClient } from '../connection.ts';
import type { ConnectionFlags } from '../connection.ts';
import type { OutputFlags } from '../declare/declare-options.ts';
import { exitInterrupted } from '../exit-codes.ts';
import { bytes } from '../format.ts';
import { Progress } from '../progress.ts';
import type { KeyValue } from '../records/pub-record.ts';
import { readRecords } from '../records/pub-source.ts';
import { PublishTally } from '../records/publish-tally.ts';
import { parseFuture } from '../records/start-position.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption } from '../units.ts';

/** How long a record may wait for its answer, lost connections included. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Options of `sluice pub`. */
export interface PubFlags extends ConnectionFlags, OutputFlags {
  readonly file?: readonly string[];
  readonly wholeFile?: true;
  readonly keyField?: string;
  readonly valueField?: string;
  readonly keySeparator?: string;
  readonly tombstone?: true;
  readonly header?: readonly string[];
  readonly partition?: number;
  readonly compression: NonNullable<ProducerOptions['compression']>;
  readonly acks: NonNullable<ProducerOptions['acks']>;
  readonly deliverAt?: string;
  readonly ttl?: string;
  readonly quiet?: true;
}

/**
 * Publishes what arguments, files or stdin give, and prints how many records got which offsets.
 *
 * After Ctrl-C what was read is still published. @throws the first error of a record; those before it have been published
 */
export async function pub(
  address: string,
  values: readonly string[],
  flags: PubFlags,
  terminal: Terminal,
): Promise<number | undefined> {
  const slash = address.indexOf('/');
  const topic = slash === -1 ? address : address.slice(0, slash);
  const records = readRecords(
    {
      values,
      files: flags.file ?? [],
      wholeFile: flags.wholeFile === true,
      tombstone: flags.tombstone === true,
      key: slash === -1 ? undefined : address.slice(slash + 1),
      keyField: flags.keyField,
      valueField: flags.valueField,
      keySeparator: flags.keySeparator,
    },
    terminal,
  );
  const headers = parseHeaders(flags.header ?? []);
  const fixed = { topic, headers, partition: flags.partition, ...deliveryTimes(flags, terminal) };
  return withClient(terminal, flags, async (client) => {
    const { compression, acks } = flags;
    const producer = client.producer({ compression, acks, deliveryTimeoutMs: ANSWER_TIMEOUT_MS });
    const publishing = new Publishing(producer, fixed);
    const started = terminal.clock.monotonicMs();
    const elapsedMs = (): number => terminal.clock.monotonicMs() - started;
    const progress = new Progress(terminal.stderr, terminal.clock, () => publishing.line(elapsedMs()));
    if (flags.quiet === true) progress.stop();
    try {
      await publishing.run(records);
    } finally {
      progress.stop();
    }
    if (flags.quiet !== true) terminal.stdout.line(summary(topic, publishing, elapsedMs(), flags));
    return terminal.interrupted.aborted ? exitInterrupted(terminal.interrupted) : undefined;
  });
}

/** What all records of a `pub` have in common. */
interface Fixed extends DeliveryTimes {
  readonly topic: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly partition: number | undefined;
}

/** Hands records to a producer as fast as it takes them and counts the answers. */
class Publishing {
  readonly tally = new PublishTally();
  bytes = 0;
  readonly #producer: Producer;
  readonly #fixed: Fixed;
  #failure: SluiceError | undefined;

  constructor(producer: Producer, fixed: Fixed) {
    this.#producer = producer;
    this.#fixed = fixed;
  }

  /** Resolves when every record has been answered. @throws the first error */
  async run(records: AsyncIterable<readonly KeyValue[]>): Promise<void> {
    try {
      for await (const group of records) {
        for (const record of group) this.#send(record);
        await this.#producer.ready();
        if (this.#failure !== undefined) break;
      }
    } finally {
      await this.#producer.close();
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #send({ key, value }: KeyValue): void {
    this.bytes += value?.length ?? 0;
    this.#producer.send({ ...this.#fixed, key, value }).then(
      ({ partition, offset }) => this.tally.add(partition, offset),
      (error: unknown) => (this.#failure ??= asSluiceError(error)),
    );
  }

  line(ms: number): string {
    const { records } = this.tally;
    const perSecond = Math.round((records / ms) * 1000);
    return `${quantity(records, 'record')}, ${bytes(this.bytes)}, ${quantity(perSecond, 'record')}/s`;
  }
}

function summary(topic: string, publishing: Publishing, ms: number, flags: PubFlags): string {
  if (flags.output === 'text') return publishing.line(ms);
  const { tally, bytes: size } = publishing;
  const durationMs = Math.round(ms);
  return JSON.stringify({
    topic,
    records: tally.records,
    bytes: size,
    durationMs,
    partitions: tally.partitions(),
  });
}

/** When queues deliver the records. @throws INVALID_ARGUMENT */
function deliveryTimes({ deliverAt, ttl }: PubFlags, { clock }: Terminal): DeliveryTimes {
  const ttlMs = ttl === undefined ? undefined : durationOption('--ttl', ttl);
  if (ttlMs === 0) throw new SluiceError('INVALID_ARGUMENT', '--ttl 0: nobody could have such a record.');
  return {
    ...(deliverAt !== undefined && { deliverAt: parseFuture('--deliver-at', deliverAt, clock) }),
    ...(ttlMs !== undefined && { ttlMs }),
  };
}

/** `name=value`; the value may contain `=`. */
function parseHeaders(headers: readonly string[]): [string, string][] {
  return headers.map((header) => {
    const at = header.indexOf('=');
    if (at < 1) throw new SluiceError('INVALID_ARGUMENT', `--header '${header}' is not name=value.`);
    return [header.slice(0, at), header.slice(at + 1)];
  });
}
