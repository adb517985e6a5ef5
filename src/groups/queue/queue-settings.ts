import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { isInternalTopic, isTopicName, quoted } from '../../catalog/topic-name.ts';
import type { QueueSettings as WireSettings } from '../../gen/sluice/client/v1/groups_pb.ts';
import { QueueSettingsSchema } from '../../gen/sluice/client/v1/groups_pb.ts';
import type { Start as WireStart } from '../../gen/sluice/client/v1/subscription_pb.ts';
import { QueueRecordSchema } from '../../gen/sluice/groups/v1/queue_record_pb.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { Start } from '../../partition/reader.ts';
import { offsetFromWire } from '../../wire/offset.ts';
import { DEAD_LETTER_PREFIX } from '../api.ts';
import type { RedeliverySettings } from './queue-runs.ts';

/** Leases last 10 ms to 12 hours. */
const LEASE_MIN_MS = 10;
export const LEASE_MAX_MS = 12 * 60 * 60 * 1000;
/** No delay that somebody asks for is longer: 30 days. */
export const DELAY_MAX_MS = 30 * 24 * 60 * 60 * 1000;
const ATTEMPTS_MAX = 1000;

/** What holds for a queue. */
export interface QueueSettings extends RedeliverySettings {
  readonly leaseMs: number;
  readonly orderedByKey: boolean;
  readonly deadLetterTopic: string;
}

/** A queue as it is stored. */
export interface QueueRecord {
  readonly topicId: string;
  /** What was given. */
  readonly given: WireSettings;
}

/** What holds for a queue of `topic` of which that was given. Dead letters that fail again stay where they are. */
export function settingsOf(topic: string, given: WireSettings): QueueSettings {
  const isOfDeadLetters = topic.startsWith(DEAD_LETTER_PREFIX);
  return {
    leaseMs: given.leaseMs ?? 30_000,
    maxAttempts: given.maxAttempts ?? (isOfDeadLetters ? 0 : 5),
    backoffMs: given.backoffMs ?? 1000,
    maxBackoffMs: Math.max(given.maxBackoffMs ?? 60_000, given.backoffMs ?? 1000),
    orderedByKey: given.orderedByKey ?? false,
    deadLetterTopic: (given.deadLetterTopic ?? '') || DEAD_LETTER_PREFIX + topic,
  };
}

/** Settings as an answer carries them, without where the queue began. */
export function settingsToWire(settings: QueueSettings): Partial<QueueSettings> {
  return { ...settings };
}

/**
 * Settings after a change: what is given now, else what was given before.
 * @param topic of the queue
 * @throws INVALID_ARGUMENT
 */
export function changeSettings(
  topic: string,
  before: WireSettings | undefined,
  change: WireSettings | undefined,
): WireSettings {
  const given = create(QueueSettingsSchema, { ...before });
  if (change) {
    given.leaseMs = change.leaseMs ?? given.leaseMs;
    given.maxAttempts = change.maxAttempts ?? given.maxAttempts;
    given.backoffMs = change.backoffMs ?? given.backoffMs;
    given.maxBackoffMs = change.maxBackoffMs ?? given.maxBackoffMs;
    given.orderedByKey = change.orderedByKey ?? given.orderedByKey;
    given.deadLetterTopic = change.deadLetterTopic ?? given.deadLetterTopic;
    if (before === undefined && change.start) given.start = change.start;
  }
  checkSettings(topic, settingsOf(topic, given));
  return given;
}

/** @throws INVALID_ARGUMENT unless a lease can last so long */
export function checkLease(leaseMs: number): void {
  checkRange('lease_ms', leaseMs, LEASE_MIN_MS, LEASE_MAX_MS);
}

/** Where a queue begins; what is left out is the oldest retained record. @throws INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE */
export function startOf(start: WireStart | undefined): Start {
  switch (start?.at.case) {
    case undefined:
    case 'earliest':
      return { at: 'earliest' };
    case 'latest':
      return { at: 'latest' };
    case 'offset':
      return { at: 'offset', offset: offsetFromWire(start.at.value) };
    case 'timestampMs':
      return { at: 'timestamp', timestampMs: offsetFromWire(start.at.value) };
    case 'lastPerKey':
      throw new SluiceError('INVALID_ARGUMENT', 'a queue begins at an offset or a time, not at last_per_key');
  }
}

/** @see proto/sluice/groups/v1/queue_record.proto */
export function encodeQueueRecord({ topicId, given }: QueueRecord): Buffer {
  return Buffer.from(toBinary(QueueRecordSchema, create(QueueRecordSchema, { topicId, settings: given })));
}

/** @throws CORRUPT_LOG */
export function decodeQueueRecord(value: Buffer): QueueRecord {
  try {
    const { topicId, settings } = fromBinary(QueueRecordSchema, value);
    return { topicId, given: settings ?? create(QueueSettingsSchema) };
  } catch (error) {
    throw new SluiceError('CORRUPT_LOG', 'the record of a queue cannot be read', { cause: error });
  }
}

function checkSettings(topic: string, settings: QueueSettings): void {
  checkLease(settings.leaseMs);
  checkRange('max_attempts', settings.maxAttempts, 0, ATTEMPTS_MAX);
  checkRange('backoff_ms', settings.backoffMs, 0, DELAY_MAX_MS);
  checkRange('max_backoff_ms', settings.maxBackoffMs, 0, DELAY_MAX_MS);
  const { deadLetterTopic } = settings;
  if (!isTopicName(deadLetterTopic) || isInternalTopic(deadLetterTopic) || deadLetterTopic === topic) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `dead letters cannot go to ${quoted(deadLetterTopic)}; set dead_letter_topic`,
    );
  }
}

function checkRange(field: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return;
  throw new SluiceError('INVALID_ARGUMENT', `${field} is ${value}; it is ${min} to ${max}`);
}
