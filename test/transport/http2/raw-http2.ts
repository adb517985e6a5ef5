import { connect as connectTls } from 'node:tls';
import type { TLSSocket } from 'node:tls';

/** Numbers of HTTP/2's frames. @see RFC 9113 section 6 */
export const FRAME_TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

const END_STREAM = 0x1;
const END_HEADERS = 0x4;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** A frame as it arrived. */
export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** One frame; `length` may lie about the payload. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK without compression: every field a literal that is not indexed. @see RFC 7541 section 6.2.2 */
export function fields(headers: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]),
  );
}

/** HEADERS that open a request. */
export function request(
  streamId: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  { endStream = false }: { readonly endStream?: boolean } = {},
): Buffer {
  const block = fields({
    ':method': 'POST',
    ':scheme': 'https',
    ':authority': 'sluice',
    ':path': path,
    ...headers,
  });
  return frame(FRAME_TYPE.HEADERS, END_HEADERS | (endStream ? END_STREAM : 0), streamId, block);
}

/** The greeting, on stream 1. */
export function greeting(maxStreams = 10): Buffer {
  return request(1, '/sluice/1', { 'x-sluice-max-streams': String(maxStreams) });
}

export function data(streamId: number, bytes: Uint8Array, { endStream = false } = {}): Buffer {
  return frame(FRAME_TYPE.DATA, endStream ? END_STREAM : 0, streamId, bytes);
}

export function reset(streamId: number, code = 8): Buffer {
  return frame(FRAME_TYPE.RST_STREAM, 0, streamId, uint32(code));
}

export function goaway(code = 0, lastStreamId = 0): Buffer {
  return frame(FRAME_TYPE.GOAWAY, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code)]));
}

export function settings(entries: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  entries.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  });
  return frame(FRAME_TYPE.SETTINGS, 0, 0, payload);
}

export function windowUpdate(streamId: number, increment: number): Buffer {
  return frame(FRAME_TYPE.WINDOW_UPDATE, 0, streamId, uint32(increment));
}

/** A client that writes whatever frames it likes, in whatever order, and obeys nothing but GOAWAY. */
export class RawHttp2 {
  readonly socket: TLSSocket;
  /** Resolves when the socket is gone. */
  readonly closed: Promise<void>;
  readonly #frames: RawFrame[] = [];
  readonly #waiting: { readonly matches: (frame: RawFrame) => boolean; resolve(frame: RawFrame): void }[] =
    [];
  #bytes = Buffer.alloc(0);

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  /** Connects and sends the preface, with empty SETTINGS unless `first` says otherwise. */
  static async connect(port: number, authorityPem: string, first: Buffer = settings()): Promise<RawHttp2> {
    const socket = connectTls({ host: '127.0.0.1', port, ca: authorityPem, ALPNProtocols: ['h2'] });
    const client = new RawHttp2(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    socket.setNoDelay(true);
    client.send(PREFACE, first);
    return client;
  }

  /** Sends frames in one piece. @returns whether the socket has room */
  send(...frames: readonly Buffer[]): boolean {
    return !this.socket.destroyed && this.socket.write(Buffer.concat(frames));
  }

  /** Sends `make()` again and again, as fast as the socket takes it, until the other end has hung up. */
  async flood(make: () => Buffer): Promise<void> {
    const pour = (): void => {
      while (!this.socket.destroyed && this.send(make()));
      if (!this.socket.destroyed) this.socket.once('drain', () => setImmediate(pour));
    };
    pour();
    await this.closed;
  }

  /** The next frame of this kind, those that have arrived already included. */
  next(matches: (frame: RawFrame) => boolean): Promise<RawFrame> {
    const at = this.#frames.findIndex(matches);
    if (at >= 0) return Promise.resolve(this.#frames.splice(at, 1)[0]!);
    return new Promise((resolve) => this.#waiting.push({ matches, resolve }));
  }

  /** Resolves when everything sent so far was looked at: a PING has been answered. */
  async settled(): Promise<void> {
    this.send(frame(FRAME_TYPE.PING, 0, 0, Buffer.from('settled?')));
    await this.next(({ type, flags }) => type === FRAME_TYPE.PING && flags === 1);
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#bytes.byteLength >= 9) {
      const length = this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.byteLength < 9 + length) return;
      const arrived: RawFrame = {
        type: this.#bytes[3]!,
        flags: this.#bytes[4]!,
        streamId: this.#bytes.readUInt32BE(5) & 0x7fff_ffff,
        payload: Buffer.from(this.#bytes.subarray(9, 9 + length)),
      };
      this.#bytes = this.#bytes.subarray(9 + length);
      this.#arrived(arrived);
    }
  }

  #arrived(arrived: RawFrame): void {
    if (arrived.type === FRAME_TYPE.GOAWAY) this.socket.end(); // a linger of a second in every test otherwise
    const at = this.#waiting.findIndex(({ matches }) => matches(arrived));
    if (at >= 0) this.#waiting.splice(at, 1)[0]!.resolve(arrived);
    else if (this.#frames.length < 1_000) this.#frames.push(arrived);
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** A string literal with its length as an integer with a 7-bit prefix. @see RFC 7541 section 5.2 */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  const length: number[] = [];
  let rest = bytes.byteLength;
  if (rest < 127) length.push(rest);
  else {
    length.push(127);
    rest -= 127;
    for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
