import { SluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import { storageError } from '../../kernel/storage-error.ts';
import { filePath, sortFiles } from '../../log/disk/file-names.ts';
import type { OpenFile } from '../../log/disk/file-system.ts';
import { nodeFileSystem } from '../../log/disk/node-file-system.ts';
import { findNextBatch, scanSegment } from '../../log/disk/segment-scan.ts';
import type { BatchHeader } from '../../wire/record-batch.ts';
import { NO_PRODUCER } from '../../wire/record-batch.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { OutputFlags } from '../declare/declare-options.ts';
import { timestamp } from '../format.ts';
import { recordPrinter } from '../records/record-format.ts';
import type { StoredFlags, StoredLog } from '../stored-logs.ts';
import { selectLogs, withStoredLogs } from '../stored-logs.ts';
import type { Terminal } from '../terminal.ts';

/** The most a node may be set to allow. */
const INFLATED_MAX_BYTES = 64 * 1024 * 1024;

/** Options of `sluice log dump`. */
export interface DumpFlags extends OutputFlags, StoredFlags {
  readonly from?: number;
  readonly count?: number;
  readonly records?: true;
}

/**
 * Prints the batches of a stopped node's partition as they are stored, a line each, or their records.
 *
 * @throws CORRUPT_LOG at the first damage, after everything before it; CORRUPT_BATCH where records cannot be read; DATA_DIR_LOCKED,
 *   TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, INVALID_ARGUMENT, STORAGE_FAILED, CANCELLED
 */
export function dumpLog(
  topic: string,
  partition: number,
  flags: DumpFlags,
  terminal: Terminal,
): Promise<void> {
  return withStoredLogs(flags, terminal, async (logs) => {
    const [log] = selectLogs(logs, topic, partition);
    try {
      await new Dump(log!, flags, terminal).run();
    } catch (cause) {
      throw storageError(cause, `cannot read ${log!.directory}`);
    }
  });
}

class Dump {
  readonly #log: StoredLog;
  readonly #flags: DumpFlags;
  readonly #terminal: Terminal;
  readonly #from: number;
  #left: number;
  /** Where the segment before ends. */
  #end = 0;

  constructor(log: StoredLog, flags: DumpFlags, terminal: Terminal) {
    this.#log = log;
    this.#flags = flags;
    this.#terminal = terminal;
    this.#from = flags.from ?? 0;
    this.#left = flags.count ?? Infinity;
  }

  async run(): Promise<void> {
    const { directory } = this.#log;
    const { segments } = sortFiles(await nodeFileSystem.list(directory));
    for (const [at, base] of segments.entries()) {
      const next = segments[at + 1];
      if (this.#left === 0 || this.#isOver) return;
      // What a merge of segments left behind lies inside the one before.
      if ((next !== undefined && next <= this.#from) || base < this.#end) continue;
      const path = filePath(directory, base, 'log');
      const file = await nodeFileSystem.open(path, { readOnly: true });
      try {
        await this.#segment(file, path, next === undefined);
      } finally {
        await file.close();
      }
    }
  }

  get #isOver(): boolean {
    return this.#terminal.stdout.closed.aborted;
  }

  async #segment(file: OpenFile, path: string, isLast: boolean): Promise<void> {
    const size = await file.size();
    const end = await scanSegment(
      file,
      { from: 0, to: size },
      async (header, position, bytes) => {
        if (this.#terminal.interrupted.aborted) throw new SluiceError('CANCELLED', 'interrupted');
        if (header.baseOffset + header.lastOffsetDelta < this.#from) return true;
        if (this.#flags.records) await this.#records(bytes);
        else await this.#print(this.#batchLine(header, position, path));
        return this.#left > 0 && !this.#isOver;
      },
      { holes: true, spare: isLast, verifyCrc: true },
    );
    this.#end = end.nextOffset;
    if (end.kind === 'end') return;
    if (isLast && !(await findNextBatch(file, { from: end.position, to: size }, end.nextOffset))) {
      this.#terminal.stderr.line(
        `${quantity(size - end.position, 'byte')} of a write that was not finished are left out`,
      );
      return;
    }
    throw new SluiceError('CORRUPT_LOG', `${path} is damaged at byte ${end.position}: ${end.reason}`);
  }

  async #records(bytes: Buffer): Promise<void> {
    const { topic, partition } = this.#log;
    const json = recordPrinter('json', undefined);
    const text = recordPrinter('value', '\t');
    const batch = new RecordBatch(bytes, { inflatedMaxBytes: INFLATED_MAX_BYTES, verifyCrc: false });
    for (const record of batch.records()) {
      if (record.offset < this.#from) continue;
      if (this.#left === 0) return;
      const printed = { topic, partition, offset: record.offset, timestampMs: record.timestampMs };
      const whole = { ...printed, key: record.key, value: record.value, headers: record.headers };
      if (this.#flags.output === 'json') await this.#print(json(whole));
      else await this.#print(Buffer.concat([Buffer.from(`${record.offset}\t`), text(whole)]));
    }
  }

  #batchLine(header: BatchHeader, position: number, path: string): string {
    const { baseOffset, lastOffsetDelta, recordCount, batchBytes, codec, leaderEpoch, maxTimestampMs } =
      header;
    const { producerId, producerEpoch, baseSequence } = header;
    const lastOffset = baseOffset + lastOffsetDelta;
    const hasProducer = producerId !== NO_PRODUCER;
    const file = path.slice(this.#log.directory.length + 1);
    if (this.#flags.output === 'json') {
      return `${JSON.stringify({
        ...{ baseOffset, lastOffset, records: recordCount, bytes: batchBytes, codec, leaderEpoch },
        ...(isTime(maxTimestampMs) && { maxTimestamp: new Date(maxTimestampMs).toISOString() }),
        ...(hasProducer && { producerId, producerEpoch, baseSequence }),
        ...{ file, position },
      })}\n`;
    }
    const time = isTime(maxTimestampMs) ? ` ${timestamp(maxTimestampMs)}` : '';
    const producer = hasProducer ? ` producer ${producerId}/${producerEpoch} sequence ${baseSequence}` : '';
    const what = `${quantity(recordCount, 'record')} ${batchBytes} B ${codec} epoch ${leaderEpoch}`;
    return `${baseOffset}–${lastOffset} ${what}${time}${producer} ${file}@${position}\n`;
  }

  async #print(line: string | Uint8Array): Promise<void> {
    this.#left--;
    if (!this.#terminal.stdout.write(line)) await this.#terminal.stdout.drained();
  }
}

/** Whether it is a time that can be written down; a batch without records has none. */
function isTime(ms: number): boolean {
  return ms >= 0 && ms <= 8.64e15;
}
