import { SluiceError } from '../kernel/errors.ts';

/** Characters of a topic name at most. */
export const TOPIC_NAME_MAX = 249;
/** Bytes of a key at most, 64 KiB. */
export const KEY_MAX_BYTES = 64 * 1024;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const INTERNAL_NAME = /^__[A-Za-z0-9._-]+$/;

/** Whether a topic belongs to the broker itself: its name starts with `__`. */
export function isInternalTopic(name: string): boolean {
  return name.startsWith('__');
}

/** Whether `name` can be a topic's, internal ones included. */
export function isTopicName(name: string): boolean {
  return name.length <= TOPIC_NAME_MAX && (NAME.test(name) || INTERNAL_NAME.test(name));
}

/** @throws INVALID_TOPIC unless `name` can be a topic's (docs/protocol.md section 3) */
export function checkTopicName(name: string): void {
  if (isTopicName(name)) return;
  throw new SluiceError(
    'INVALID_TOPIC',
    `${quoted(name)} is not a topic name: 1 to ${TOPIC_NAME_MAX} of A-Z a-z 0-9 . _ -, beginning with a letter or digit`,
  );
}

/** A place records are published to. */
export interface Address {
  readonly topic: string;
  /** Everything after the first `/`, UTF-8; undefined when there is none: the record has no key. */
  readonly key: Buffer | undefined;
}

/**
 * Splits `topic/key` at its first `/`.
 * @param keyMaxBytes longest key that is taken; at most 64 KiB, which is the default
 * @throws INVALID_TOPIC; KEY_TOO_LARGE
 */
export function parseAddress(address: string, keyMaxBytes = KEY_MAX_BYTES): Address {
  const slash = address.indexOf('/');
  const topic = slash < 0 ? address : address.slice(0, slash);
  checkTopicName(topic);
  if (slash < 0) return { topic, key: undefined };
  const key = Buffer.from(address.slice(slash + 1));
  if (key.length > keyMaxBytes) {
    throw new SluiceError('KEY_TOO_LARGE', `a key of ${key.length} bytes; at most ${keyMaxBytes}`);
  }
  return { topic, key };
}

/** `text` in quotes for an error message, cut when it is long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
