/**
 * The token of a lease, as text that goes through URLs and headers unchanged:
 *
 *     <partition>.<grant>.<offset>      each in base 36, lower case, without leading zeros
 *
 * It names one record of a queue and the delivery that leased it; topic and group are said beside it. It is no secret: what a holder may
 * do is decided by rights.
 */
import { SluiceError } from '../kernel/errors.ts';

/** One leased record. */
export interface LeaseToken {
  /** 0 to 2^32 − 1. */
  readonly partition: number;
  /** Of the delivery, as `LeasedBatch.grant` has it; 0 to 2^53 − 1. */
  readonly grant: number;
  /** 0 to 2^53 − 1. */
  readonly offset: number;
}

const RADIX = 36;
const PARTITION_MAX = 0xffff_ffff;
const TOKEN = /^(0|[1-9a-z][0-9a-z]{0,6})\.(0|[1-9a-z][0-9a-z]{0,10})\.(0|[1-9a-z][0-9a-z]{0,10})$/;

/** The token as text, at most 31 characters. */
export function encodeLeaseToken({ partition, grant, offset }: LeaseToken): string {
  return `${partition.toString(RADIX)}.${grant.toString(RADIX)}.${offset.toString(RADIX)}`;
}

/** Reads a token. @throws INVALID_ARGUMENT when it is none */
export function decodeLeaseToken(text: string): LeaseToken {
  const parts = TOKEN.exec(text);
  const [partition, grant, offset] = (parts ?? []).slice(1).map((digits) => Number.parseInt(digits, RADIX));
  if (partition === undefined || grant === undefined || offset === undefined) throw noToken(text);
  if (partition > PARTITION_MAX || !Number.isSafeInteger(grant) || !Number.isSafeInteger(offset)) {
    throw noToken(text);
  }
  return { partition, grant, offset };
}

/** What a token names, as fields of a `Settlement`: a range of one record, so that it can be said of each what became of it. */
export function leaseRange({ partition, grant, offset }: LeaseToken): {
  readonly partition: number;
  readonly grant: bigint;
  readonly first: bigint;
  /** Exclusive. */
  readonly end: bigint;
} {
  return { partition, grant: BigInt(grant), first: BigInt(offset), end: BigInt(offset) + 1n };
}

function noToken(text: string): SluiceError {
  return new SluiceError(
    'INVALID_ARGUMENT',
    `'${text.slice(0, 64)}' is no lease token: three numbers in base 36 with dots`,
  );
}
