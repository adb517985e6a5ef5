import type { Stream } from '../transport.ts';
import type { QuicReceiveStream } from './receive-stream.ts';
import type { QuicSendStream } from './send-stream.ts';

/*
 * Numbers of streams (RFC 9000 section 2.1): bit 0 is set on streams that the server opens, bit 1 on unidirectional ones.
 */
const SERVER_BIT = 1;
const UNI_BIT = 2;

export type Side = 'client' | 'server';

/** Whether only the end that opened the stream writes it. */
export function isUnidirectional(id: number): boolean {
  return (id & UNI_BIT) !== 0;
}

/** Whether `side` opened the stream. */
export function isOpenedBy(id: number, side: Side): boolean {
  return ((id & SERVER_BIT) !== 0) === (side === 'server');
}

/** Number of the first stream that `side` opens; the next ones follow in steps of four. */
export function firstStreamId(side: Side, unidirectional: boolean): number {
  return (side === 'server' ? SERVER_BIT : 0) | (unidirectional ? UNI_BIT : 0);
}

/** A stream with the halves that this end has. */
export interface QuicStream extends Stream {
  readonly send: QuicSendStream | undefined;
  readonly receive: QuicReceiveStream | undefined;
}

/** Whether nothing more can happen to a stream. */
export function isFinished(stream: QuicStream): boolean {
  return stream.send?.finished !== false && stream.receive?.finished !== false;
}
