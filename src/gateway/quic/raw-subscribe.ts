import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { Start } from '../../partition/reader.ts';
import type { ControlChannel } from './client-session.ts';
import { errorFrame } from './error-frame.ts';
import { ClientSubscription } from './subscription.ts';

/** Longest start position as text, bytes: a time with nanoseconds and zone has 35. */
const START_MAX_BYTES = 64;
const DECIMAL = /^\d{1,20}$/;
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/**
 * Answers SUBSCRIBE: streams of MESSAGE frames, or an ERROR when it is refused.
 * @see docs/protocol.md section 4
 */
export function rawSubscribe(control: ControlChannel, filter: string, payload: Buffer): void {
  attempt(control, () => open(control, filter, payload));
}

/** Answers UNSUBSCRIBE: the streams end. An ERROR when there is no such subscription. */
export function rawUnsubscribe(control: ControlChannel, filter: string, payload: Buffer): void {
  if (payload.length > 0) throw new SluiceError('PROTOCOL_ERROR', 'UNSUBSCRIBE has no payload');
  attempt(control, () => close(control, filter));
}

/** In turn with what was asked before; a refusal becomes an ERROR about no request in particular. */
function attempt(control: ControlChannel, task: () => void | Promise<void>): void {
  control.run(async () => {
    try {
      await task();
    } catch (error) {
      const refusal = asSluiceError(error);
      control.session.countError(refusal.code);
      control.write(errorFrame(0, refusal));
    }
  });
}

function close(control: ControlChannel, filter: string): void {
  const subscription = control.session.subscriptions.byFilter(filter);
  if (!subscription) {
    throw new SluiceError('SUBSCRIPTION_NOT_FOUND', `this connection has no subscription ${filter}`);
  }
  subscription.end(undefined, 'unsubscribed');
}

async function open(control: ControlChannel, filter: string, payload: Buffer): Promise<void> {
  await ClientSubscription.open(control.session, {
    subscriptionId: 0,
    raw: true,
    name: '',
    filter,
    start: parseStart(payload),
    resume: [],
    delivery: 'ordered',
    endAtGap: true,
    urgency: 3,
    paused: false,
  });
}

/**
 * Reads the payload of SUBSCRIBE.
 * @throws INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE
 */
export function parseStart(payload: Buffer): Start {
  const text = payload.toString('latin1', 0, START_MAX_BYTES + 1);
  if (text === '' || text === 'latest') return { at: 'latest' };
  if (text === 'earliest') return { at: 'earliest' };
  if (DECIMAL.test(text)) return { at: 'offset', offset: parseOffset(text) };
  const timestampMs = RFC_3339.test(text) ? Date.parse(text.replace(' ', 'T').toUpperCase()) : Number.NaN;
  if (Number.isFinite(timestampMs)) return { at: 'timestamp', timestampMs: Math.max(0, timestampMs) };
  throw new SluiceError(
    'INVALID_ARGUMENT',
    'a start position is nothing, `earliest`, `latest`, an offset, or a time like 2026-01-31T12:00:00Z',
  );
}

function parseOffset(text: string): number {
  const offset = Number(text);
  if (Number.isSafeInteger(offset)) return offset;
  throw new SluiceError('OFFSET_OUT_OF_RANGE', `offset ${text} is beyond 2^53 − 1`);
}
