import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { SluiceError } from '../../kernel/errors.ts';
import { splitLines } from './lines.ts';
import { lineParser } from './pub-record.ts';
import type { KeyValue, LineFormat } from './pub-record.ts';
import type { Terminal } from '../terminal.ts';

/** Largest line or file that is read: the largest record batch a node can be told to take. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Where the records of a `pub` come from. */
export interface PubSource extends LineFormat {
  /** One record each; `-` alone is stdin. */
  readonly values: readonly string[];
  readonly files: readonly string[];
  readonly wholeFile: boolean;
  readonly tombstone: boolean;
}

/**
 * The records to publish, as they are read, in groups of what was read together. Ends early, without error, when the terminal is
 * interrupted.
 *
 * @throws INVALID_ARGUMENT at once when the sources exclude each other or there is none; later, when a line does not fit
 */
export function readRecords(source: PubSource, terminal: Terminal): AsyncIterable<readonly KeyValue[]> {
  checkSources(source);
  const { values, files, key } = source;
  if (source.tombstone) return once([{ key, value: null }]);
  if (source.wholeFile) return wholeFiles(files, key, terminal);
  const parse = lineParser(source);
  if (files.length > 0) return linesOfFiles(files, parse, terminal);
  if (values.length > 0 && !(values.length === 1 && values[0] === '-')) {
    const records = values.map((value, index) => parse(Buffer.from(value), `Value ${index + 1}`));
    return once(records.filter((record) => record !== undefined));
  }
  if (values.length === 0 && terminal.stdin.isTTY === true) {
    throw usage("Nothing to publish: give a VALUE, --file FILE, or '-' to type lines.");
  }
  return linesOf(terminal.stdin, 'stdin', parse, terminal);
}

function checkSources({ values, files, tombstone, wholeFile, key }: PubSource): void {
  if ([values.length > 0, files.length > 0, tombstone].filter(Boolean).length > 1) {
    throw usage('Give values, or --file, or --tombstone, not several of them.');
  }
  if (wholeFile && files.length === 0) throw usage('--whole-file needs --file.');
  if (tombstone && key === undefined)
    throw usage('A tombstone needs a key: sluice pub TOPIC/KEY --tombstone');
}

type Parse = ReturnType<typeof lineParser>;

async function* linesOfFiles(
  files: readonly string[],
  parse: Parse,
  terminal: Terminal,
): AsyncGenerator<readonly KeyValue[]> {
  for (const file of files)
    yield* linesOf(createReadStream(resolve(terminal.folder, file)), file, parse, terminal);
}

async function* linesOf(
  stream: Terminal['stdin'],
  name: string,
  parse: Parse,
  terminal: Terminal,
): AsyncGenerator<readonly KeyValue[]> {
  addAbortSignal(terminal.interrupted, stream);
  let line = 0;
  try {
    for await (const lines of splitLines(stream as AsyncIterable<Uint8Array | string>, MAX_BYTES)) {
      const records: KeyValue[] = [];
      try {
        for (const bytes of lines) {
          line += 1;
          const record = parse(bytes, `Line ${line} of ${name}`);
          if (record !== undefined) records.push(record);
        }
      } finally {
        // Also when a line does not fit: those before it are good.
        if (records.length > 0) yield records;
      }
    }
  } catch (error) {
    if (!terminal.interrupted.aborted) throw readable(error, name);
  }
}

async function* wholeFiles(
  files: readonly string[],
  key: string | undefined,
  terminal: Terminal,
): AsyncGenerator<readonly KeyValue[]> {
  for (const file of files) {
    const value = await readFile(resolve(terminal.folder, file)).catch((error: unknown) => {
      throw readable(error, file);
    });
    if (value.length > MAX_BYTES)
      throw new SluiceError('RECORD_TOO_LARGE', `${file} is larger than ${MAX_BYTES} bytes.`);
    yield [{ key, value }];
  }
}

async function* once(records: readonly KeyValue[]): AsyncGenerator<readonly KeyValue[]> {
  yield await Promise.resolve(records);
}

function readable(error: unknown, name: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof SluiceError || code === undefined) return error;
  const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
  return new SluiceError('INVALID_ARGUMENT', `${name} ${why}.`, { cause: error });
}

function usage(message: string): SluiceError {
  return new SluiceError('INVALID_ARGUMENT', message);
}
