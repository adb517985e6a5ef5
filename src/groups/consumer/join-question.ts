import { TOPIC_NAME_MAX, quoted } from '../../catalog/topic-name.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { GroupAsker, GroupQuestion } from '../api.ts';
import type { MemberFacts } from './member.ts';
import { MemberFilters } from './member-filters.ts';
import { offsetStartFromWire } from './start.ts';
import type { TopicNumbers } from './topic-numbers.ts';

const GROUP_NAME = /^[A-Za-z0-9._-]+$/;
const ID_MAX_BYTES = 128;
const CLIENT_ID_MAX_BYTES = 256;
const DEFAULT_SESSION_TIMEOUT_MS = 10_000;
const MIN_SESSION_TIMEOUT_MS = 1000;
const MAX_SESSION_TIMEOUT_MS = 30 * 60_000;

/** A JoinGroupRequest that was checked. */
export interface JoinFacts extends MemberFacts {
  readonly memberId: string;
  /** 0: joins. */
  readonly generation: number;
  /** What it reads, `<topic>/<partition>`. */
  readonly owned: ReadonlySet<string>;
  readonly maxWaitMs: number;
}

/** @throws INVALID_ARGUMENT, INVALID_FILTER, OFFSET_OUT_OF_RANGE */
export function checkJoin(
  question: GroupQuestion<'joinGroup'>,
  { principal }: GroupAsker,
  numbers: TopicNumbers,
): JoinFacts {
  const { memberId, instanceId, clientId } = question;
  checkId('member_id', memberId, 1, ID_MAX_BYTES);
  checkId('instance_id', instanceId, 0, ID_MAX_BYTES);
  checkId('client_id', clientId, 0, CLIENT_ID_MAX_BYTES);
  const sessionTimeoutMs = question.sessionTimeoutMs || DEFAULT_SESSION_TIMEOUT_MS;
  if (sessionTimeoutMs < MIN_SESSION_TIMEOUT_MS || sessionTimeoutMs > MAX_SESSION_TIMEOUT_MS) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `a session timeout of ${sessionTimeoutMs} ms; 1 s to 30 minutes`,
    );
  }
  return {
    ...{ memberId, instanceId, clientId, sessionTimeoutMs, principal },
    generation: question.generation,
    filters: new MemberFilters(question.filters, numbers),
    start: offsetStartFromWire(question.start),
    owned: new Set(question.owned.map(({ topic, partition }) => `${topic}/${partition}`)),
    maxWaitMs: Math.min(question.maxWaitMs, sessionTimeoutMs / 3),
  };
}

/** @returns `name` @throws INVALID_ARGUMENT unless it can be a group's */
export function checkGroupName(name: string): string {
  if (GROUP_NAME.test(name) && name.length <= TOPIC_NAME_MAX) return name;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `${quoted(name)} is not a group name: 1 to ${TOPIC_NAME_MAX} of A-Z a-z 0-9 . _ -`,
  );
}

function checkId(field: string, id: string, minBytes: number, maxBytes: number): void {
  const bytes = Buffer.byteLength(id);
  if (bytes >= minBytes && bytes <= maxBytes) return;
  throw new SluiceError('INVALID_ARGUMENT', `${field} has ${bytes} bytes; ${minBytes} to ${maxBytes}`);
}
