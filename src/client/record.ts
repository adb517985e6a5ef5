import { inspect } from 'node:util';
import { SluiceError } from '../kernel/errors.ts';
import type { Header, WireRecord } from '../wire/record-batch-decoder.ts';
import type { DeliveryTimes } from './record-times.ts';

/** Bytes of a key or value: a string is its UTF-8. `null` as value is a tombstone. */
export type Bytes = Uint8Array | string | null;

/** Headers of a record to send: pairs in order, or an object. */
export type HeadersToSend =
  Readonly<Record<string, Bytes>> | readonly (readonly [key: string, value: Bytes])[];

/** A record to publish. The bytes are copied by the call that takes the record. */
export interface RecordToSend extends DeliveryTimes {
  readonly topic: string;
  /** Records with one key go to one partition and stay in order. Default: none. */
  readonly key?: Bytes | undefined;
  readonly value: Bytes;
  readonly headers?: HeadersToSend | undefined;
  /** Milliseconds since 1970. Default: now. */
  readonly timestampMs?: number | undefined;
  /** Overrides the choice by key. */
  readonly partition?: number | undefined;
}

/** A record as a subscription hands it out. Key, value and headers are views of the batch it came in: read-only, and they keep it. */
export class ReceivedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly #wire: WireRecord;
  readonly #origin: object | undefined;

  /** @param origin stands for the reading of the partition that it came with: see {@link originOf} */
  constructor(topic: string, partition: number, wire: WireRecord, origin?: object) {
    this.topic = topic;
    this.partition = partition;
    this.#wire = wire;
    this.#origin = origin;
  }

  /** What tells apart where records came from that have one topic, partition and offset. @internal */
  static originOf(record: ReceivedRecord): object | undefined {
    return record.#origin;
  }

  get offset(): number {
    return this.#wire.offset;
  }

  /** Milliseconds since 1970. */
  get timestampMs(): number {
    return this.#wire.timestampMs;
  }

  get key(): Buffer | null {
    return this.#wire.key;
  }

  /** `null` is a tombstone: the key was deleted. */
  get value(): Buffer | null {
    return this.#wire.value;
  }

  /** In order; keys may repeat. */
  get headers(): readonly Header[] {
    return this.#wire.headers;
  }

  /** Address `topic/key`, or the topic where there is no key. */
  get address(): string {
    const { key } = this;
    return key === null ? this.topic : `${this.topic}/${key.toString('utf8')}`;
  }

  /** The value as UTF-8; a tombstone is the empty string. */
  text(): string {
    return this.value?.toString('utf8') ?? '';
  }

  /** The key as UTF-8; undefined where there is none. */
  keyText(): string | undefined {
    return this.key?.toString('utf8');
  }

  /**
   * The value parsed as JSON; a tombstone is `null`. Nothing checks that it is a `T`.
   * @throws INVALID_ARGUMENT when it is not JSON
   */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller names what it expects
  json<T = unknown>(): T {
    const { value } = this;
    if (value === null) return null as T;
    try {
      return JSON.parse(value.toString('utf8')) as T;
    } catch (cause) {
      const where = `${this.topic}/${this.partition} offset ${this.offset}`;
      throw new SluiceError('INVALID_ARGUMENT', `the value of ${where} is not JSON`, { cause });
    }
  }

  /** Value of the first header with that key; undefined when there is none. */
  header(key: string): Buffer | null | undefined {
    return this.headers.find((header) => header.key === key)?.value;
  }

  [inspect.custom](): object {
    const { topic, partition, offset, timestampMs, key, value, headers } = this;
    return { topic, partition, offset, timestampMs, key, value, headers };
  }
}

/** The bytes themselves, strings as UTF-8. */
export function toBytes(value: Bytes): Uint8Array | null {
  return typeof value === 'string' ? Buffer.from(value) : value;
}

/** Headers as the encoder takes them. */
export function toHeaders(headers: HeadersToSend): { key: string; value: Uint8Array | null }[] {
  const pairs: readonly (readonly [string, Bytes])[] = isPairs(headers) ? headers : Object.entries(headers);
  return pairs.map(([key, value]) => ({ key, value: toBytes(value) }));
}

function isPairs(headers: HeadersToSend): headers is readonly (readonly [string, Bytes])[] {
  return Array.isArray(headers);
}

/** Takes `topic/key` apart: the first level is the topic, all the rest the key. No key: undefined. */
export function splitAddress(address: string): { readonly topic: string; readonly key: string | undefined } {
  const slash = address.indexOf('/');
  return slash < 0
    ? { topic: address, key: undefined }
    : { topic: address.slice(0, slash), key: address.slice(slash + 1) };
}
