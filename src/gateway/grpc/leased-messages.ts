import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { LeasedBatch } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { MessageSchema } from '../../gen/sluice/messages/v1/messages_pb.ts';
import { encodeLeaseToken } from '../../wire/lease-token.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import { RecordBatch } from '../../wire/record-batch-decoder.ts';
import type { Header, WireRecord } from '../../wire/record-cursor.ts';
import { CORRELATION_HEADER } from './new-record.ts';

/** A message as a consumer gets it, and what the gateway needs to know of it. */
export interface LeasedMessage {
  readonly message: MessageInitShape<typeof MessageSchema>;
  readonly token: string;
  readonly leaseMs: number;
  /** Roughly what it takes on the wire. */
  readonly bytes: number;
}

/** What a message takes besides key, value and headers, about. */
const OVERHEAD_BYTES = 96;
/** And each header. */
const HEADER_OVERHEAD_BYTES = 8;

/** Messages of a batch. */
export interface BatchMessages {
  readonly messages: readonly LeasedMessage[];
  /** What they keep in memory, bytes: all that the batch has inflated to. */
  readonly heldBytes: number;
}

/**
 * The leased records of a batch, one by one. Bodies are views of the batch.
 *
 * @param nowMs when the leases began, milliseconds since 1970
 * @throws CORRUPT_BATCH, UNKNOWN_CODEC; BATCH_TOO_LARGE when the batch inflates to more than `inflatedMaxBytes`
 */
export function leasedMessages(
  leased: LeasedBatch,
  topic: string,
  nowMs: number,
  inflatedMaxBytes: number,
): BatchMessages {
  const { partition, leaseMs, batch } = leased;
  const grant = Number(leased.grant);
  const bytes = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  const expiresAt = timestampFromMs(nowMs + leaseMs);
  const attempts = new Attempts(leased);
  const found: LeasedMessage[] = [];
  // Both ends of this way are nodes, which have checked it.
  const cursor = new RecordBatch(bytes, { inflatedMaxBytes, verifyCrc: false }).cursor();
  while (cursor.next()) {
    const { offset } = cursor;
    const attempt = attempts.of(offset);
    if (attempt === 0) continue;
    const record = cursor.record();
    const token = encodeLeaseToken({ partition, grant, offset });
    const headers = record.headers;
    found.push({
      token,
      leaseMs,
      bytes: sizeOf(record, headers),
      message: {
        ...contentOf(record, headers),
        ...{ topic, partition, attempt, leaseToken: token, leaseExpiresAt: expiresAt },
        offset: BigInt(offset),
        createdAt: timestampFromMs(record.timestampMs),
      },
    });
  }
  return { messages: found, heldBytes: cursor.bytes.length };
}

/** Which offsets of a batch are leased, asked in rising order. */
class Attempts {
  readonly #ranges: readonly { readonly first: number; readonly end: number; readonly attempt: number }[];
  #at = 0;

  constructor({ leases }: LeasedBatch) {
    this.#ranges = leases
      .map(({ first, end, attempt }) => ({ first: offsetFromWire(first), end: offsetFromWire(end), attempt }))
      .sort((a, b) => a.first - b.first);
  }

  /** 0: not leased. */
  of(offset: number): number {
    while (this.#at < this.#ranges.length && this.#ranges[this.#at]!.end <= offset) this.#at += 1;
    const range = this.#ranges[this.#at];
    return range && range.first <= offset ? range.attempt : 0;
  }
}

function contentOf(
  { key, value }: WireRecord,
  headers: readonly Header[],
): Pick<MessageInitShape<typeof MessageSchema>, 'body' | 'key' | 'headers' | 'correlationId'> {
  const correlation = headers.find((header) => header.key === CORRELATION_HEADER)?.value;
  return {
    body: value ?? new Uint8Array(0),
    correlationId: correlation?.toString() ?? '',
    ...(key === null ? {} : { key }),
    headers: headers.map((header) =>
      header.value === null ? { key: header.key } : { key: header.key, value: header.value },
    ),
  };
}

function sizeOf({ key, value }: WireRecord, headers: readonly Header[]): number {
  let bytes = OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) {
    bytes += HEADER_OVERHEAD_BYTES + header.key.length + (header.value?.length ?? 0);
  }
  return bytes;
}
