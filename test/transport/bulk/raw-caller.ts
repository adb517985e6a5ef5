import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import { BULK_PROTOCOL } from '../../../src/transport/bulk/bulk-protocol.ts';
import type { FrameKind } from '../../../src/transport/bulk/frames.ts';
import { FrameAssembler, HEADER_BYTES, KIND, writeHeader } from '../../../src/transport/bulk/frames.ts';
import type { GrpcTls } from '../../../src/transport/grpc/grpc-tls.ts';

/** Largest message that a server may send. */
const MAX_BYTES = 1000;

/** A frame as it is on the wire. */
export function frame(kind: number, payload: Buffer | string = ''): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  writeHeader(header, kind as FrameKind, Buffer.byteLength(payload));
  return Buffer.concat([header, Buffer.from(payload)]);
}

/** The frame that opens a stream. */
export const openFrame = (path: string): Buffer => frame(KIND.open, path);

/** The calling end of a connection, without what keeps it from saying nonsense. */
export class RawCaller {
  readonly socket: TLSSocket;
  /** What the server has said. */
  readonly frames: [kind: number, payload: string][] = [];
  readonly closed: Promise<void>;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    const { frames } = this;
    const assembler = new FrameAssembler(MAX_BYTES, (kind, payload) =>
      frames.push([kind, payload.toString()]),
    );
    socket.on('error', () => undefined);
    socket.on('data', (read: Buffer) => {
      for (let at = 0; at < read.length;) at = assembler.take(read, at);
    });
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()));
  }

  static async connect(port: number, { identity, authoritiesPem }: GrpcTls): Promise<RawCaller> {
    const socket = connect({
      ...{ host: '127.0.0.1', port, ALPNProtocols: [BULK_PROTOCOL], ca: authoritiesPem },
      ...{ cert: identity.certificatePem, key: identity.privateKeyPem },
      checkServerIdentity: () => undefined,
    });
    const raw = new RawCaller(socket);
    await new Promise((resolve, reject: (error: Error) => void) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    return raw;
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Code of the error with which the server has ended the stream; `well`: without. */
  get code(): string | undefined {
    const [, payload] = this.frames.find(([kind]) => kind === KIND.end) ?? [];
    return payload === '' ? 'well' : payload?.split('\n')[0];
  }
}
