import { createHash } from 'node:crypto';
import type {
  BidiStream,
  CloseReason,
  Connection,
  ReceiveStream,
  SendStream,
  Stream,
} from '../../src/transport/transport.ts';

/** Everything a stream brings until its end. @throws Error with the code when it is reset */
export function readAll(receive: ReceiveStream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    receive.onData = (chunk) => chunks.push(Buffer.from(chunk));
    receive.onEnd = () => resolve(Buffer.concat(chunks));
    receive.onReset = (errorCode) => reject(new Error(`reset with ${errorCode}`));
  });
}

/** The next bytes of a stream. */
export function readSome(receive: ReceiveStream): Promise<Buffer> {
  return new Promise((resolve) => {
    receive.onData = (chunk) => resolve(Buffer.from(chunk));
  });
}

/** The next stream that the peer opens; `prepare` runs while it is handed out. */
export function nextStream(
  connection: Connection,
  prepare: (stream: Stream) => void = () => undefined,
): Promise<Stream> {
  return new Promise((resolve) => {
    connection.onStream = (stream) => {
      prepare(stream);
      resolve(stream);
    };
  });
}

/** Everything that the next stream of the peer brings. */
export function nextContent(connection: Connection): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    connection.onStream = (stream) => void readAll(stream.receive!).then(resolve, reject);
  });
}

/** The code with which the peer resets. */
export function resetOf(receive: ReceiveStream): Promise<number> {
  return new Promise((resolve) => {
    receive.onReset = resolve;
  });
}

/** The code with which the peer stops the stream. */
export function stopOf(send: SendStream): Promise<number> {
  return new Promise((resolve) => {
    send.onStopped = resolve;
  });
}

/** Why the connection ended. */
export function closeOf(connection: Connection): Promise<CloseReason> {
  return new Promise((resolve) => {
    connection.onClose = resolve;
  });
}

/** Resolves when everything written so far has been taken over. */
export function writableAgain(send: SendStream): Promise<void> {
  return new Promise((resolve) => {
    send.onWritable = resolve;
  });
}

/** Answers every bidirectional stream of `connection` with its own bytes. */
export function echoStreams(connection: Connection): void {
  connection.onStream = (stream) => echo(stream as BidiStream);
}

/** Sends back what a stream brings. */
export function echo(stream: BidiStream): void {
  stream.receive.onData = (chunk) => stream.send.write(Buffer.from(chunk));
  stream.receive.onEnd = () => stream.send.end();
}

/** Sends `text` on a new stream and returns what comes back. */
export async function roundTrip(connection: Connection, text: string): Promise<string> {
  const stream = connection.openBidi();
  const answer = readAll(stream.receive);
  stream.send.write(Buffer.from(text));
  stream.send.end();
  return (await answer).toString();
}

/** Bytes that differ from place to place, the same for the same seed. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed;
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

/** Short text that two equal byte sequences share. */
export function fingerprint(bytes: Uint8Array): string {
  return `${bytes.byteLength}:${createHash('sha256').update(bytes).digest('hex')}`;
}
