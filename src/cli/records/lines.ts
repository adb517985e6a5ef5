import { SluiceError } from '../../kernel/errors.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Splits bytes into lines, byte for byte: no decoding, so that what is not UTF-8 passes unharmed. The line end (LF or CRLF) is not part
 * of a line; a last line without one counts.
 *
 * @param chunks what a file or stdin gives
 * @param maxLineBytes bound for what is held while a line end is awaited
 * @returns the lines of each chunk together, so that a caller pays for one turn per chunk; never an empty list
 * @throws RECORD_TOO_LARGE when a line is longer than `maxLineBytes`
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array | string>,
  maxLineBytes: number,
): AsyncGenerator<readonly Buffer[]> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of chunks) {
    const bytes =
      typeof chunk === 'string'
        ? Buffer.from(chunk)
        : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const lines: Buffer[] = [];
    let from = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, from)) {
      held.push(bytes.subarray(from, end));
      lines.push(withoutCarriageReturn(held.length === 1 ? held[0]! : Buffer.concat(held)));
      held = [];
      heldBytes = 0;
      from = end + 1;
    }
    if (from < bytes.length) held.push(bytes.subarray(from));
    heldBytes += bytes.length - from;
    if (heldBytes > maxLineBytes) {
      throw new SluiceError(
        'RECORD_TOO_LARGE',
        `A line is longer than ${maxLineBytes} bytes. Publish it whole with --whole-file.`,
      );
    }
    if (lines.length > 0) yield lines;
  }
  if (heldBytes > 0) yield [Buffer.concat(held)];
}

function withoutCarriageReturn(line: Buffer): Buffer {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
