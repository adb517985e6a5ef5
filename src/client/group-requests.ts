import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GroupRequestSchema, GroupResponse, GroupResult } from '../gen/sluice/client/v1/groups_pb.ts';
import { Backoff } from '../kernel/backoff.ts';
import { abortableDelay } from '../kernel/clock.ts';
import { asSluiceError, errorCodeFromWire, SluiceError } from '../kernel/errors.ts';
import type { ConnectionSupervisor } from './connection/connection-supervisor.ts';
import { withDeadline } from './deadline.ts';
import type { ClientPorts } from './ports.ts';
import type { RequestBody } from './connection/pending-requests.ts';
import { RequestStream } from './connection/request-stream.ts';
import type { Session } from './connection/session.ts';

type QuestionInit = Exclude<
  NonNullable<MessageInitShape<typeof GroupRequestSchema>['body']>,
  { case?: undefined }
>;

/** What can be asked of consumer groups and queues; the answer has the same name. @see proto/sluice/client/v1/groups.proto */
export type GroupCase = QuestionInit['case'];
/** A question of that name; what is left out is zero, empty or not there. */
export type GroupQuestion<C extends GroupCase> = Extract<QuestionInit, { case: C }>['value'];
/** Its answer. */
export type GroupAnswer<C extends GroupCase> = Extract<GroupResponse['body'], { case: C }>['value'];

/** How a question is asked. */
export interface AskOptions {
  /** What the broker may take on top of the usual time, because the question says so, milliseconds. Default 0. */
  readonly waitMs?: number;
  /** Whether it is asked again after an answer that may be another next time, until the time is over. Default true. */
  readonly again?: boolean;
  /** Called before it is asked again: the time before may have been of effect or not. */
  readonly onAgain?: () => void;
  /** Gives the question up, with CANCELLED. */
  readonly signal?: AbortSignal;
}

/** Asks a question about a group or a queue. */
export type AskGroup = <C extends GroupCase>(
  name: C,
  question: GroupQuestion<C>,
  options?: AskOptions,
) => Promise<GroupAnswer<C>>;

/** What {@link GroupRequests} needs of its client. */
export interface RequestContext {
  readonly supervisor: ConnectionSupervisor;
  readonly ports: ClientPorts;
  /** Time for an answer, milliseconds. */
  readonly requestTimeoutMs: number;
}

const PACE = { minMs: 20, maxMs: 1000 };

/**
 * Brings questions about groups and queues to the broker, on a stream of their own or on the control stream, and asks again, on
 * whatever session there is then, while that may help: coordinators move with the leaders of their partitions.
 */
export class GroupRequests {
  readonly #context: RequestContext;
  readonly #onStream: boolean;
  #stream: { readonly session: Session; readonly requests: RequestStream; hold(): void } | undefined;
  #closed = false;

  /** @param onStream whether to use a stream of its own */
  constructor(context: RequestContext, onStream: boolean) {
    this.#context = context;
    this.#onStream = onStream;
  }

  /**
   * @throws TIMEOUT, CANCELLED, what ended the client, and what the broker answers
   */
  readonly ask: AskGroup = async (name, question, options = {}) => {
    const { supervisor, ports, requestTimeoutMs } = this.#context;
    const { clock } = ports;
    const deadlineMs = clock.monotonicMs() + requestTimeoutMs + (options.waitMs ?? 0);
    const backoff = new Backoff(PACE, ports.random);
    const left = (): number => Math.max(0, deadlineMs - clock.monotonicMs());
    let last: SluiceError | undefined;
    const late = (): SluiceError => tooLate(name, last);
    for (;;) {
      const session = await withDeadline(clock, left(), supervisor.whenUp(), late);
      try {
        return await withDeadline(clock, left(), this.#send(session, name, question), late);
      } catch (error) {
        last = asSluiceError(error);
        if (supervisor.ended !== undefined || !mayHelp(last, options)) throw last;
        if (left() === 0) throw late();
      }
      options.onAgain?.();
      await abortableDelay(clock, Math.min(left(), backoff.nextMs()), options.signal ?? NEVER);
    }
  };

  /** Ends the stream there is: what waits at the broker is given up. What is asked after that gets another. */
  cut(): void {
    this.#stream?.requests.finish();
    this.#stream = undefined;
  }

  /** {@link cut}; what is asked after that goes over the control stream. Idempotent. */
  close(): void {
    this.#closed = true;
    this.cut();
  }

  async #send<C extends GroupCase>(
    session: Session,
    name: C,
    question: GroupQuestion<C>,
  ): Promise<GroupAnswer<C>> {
    const body = { body: { case: name, value: question } } as RequestBody<'group'>;
    const answer = (await this.#requests(session).request('group', body)).body;
    if (answer.case === name) return answer.value as GroupAnswer<C>;
    throw new SluiceError('PROTOCOL_ERROR', `the broker answered ${name} with ${answer.case ?? 'nothing'}`);
  }

  #requests(session: Session): Pick<Session, 'request'> {
    if (!this.#onStream || this.#closed) return session;
    const known = this.#stream;
    if (known?.session === session && known.requests.open) {
      known.hold();
      return known.requests;
    }
    // What was asked on the session before is answered there, which ends with that.
    return this.#open(session);
  }

  #open(session: Session): RequestStream {
    let release: (() => void) | undefined;
    const hold = (): void => void (release ??= session.hold());
    const requests = new RequestStream(session.openBidi(), session.limits.maxFrameBytes, () => {
      release?.();
      release = undefined;
    });
    hold();
    this.#stream = { session, requests, hold };
    return requests;
  }
}

/** How one part of a request ended; undefined: well. */
export function resultError({ errorCode, errorMessage }: GroupResult): SluiceError | undefined {
  if (errorCode === 0) return undefined;
  const code = errorCodeFromWire(errorCode);
  return new SluiceError(code, errorMessage || `the broker refused it: ${code}`);
}

/** Whether it may be asked again, and may be answered otherwise then. */
function mayHelp(error: SluiceError, { again = true, signal }: AskOptions): boolean {
  if (!again || signal?.aborted === true) return false;
  // Nobody here has cancelled it: its connection is about to go.
  return error.retryable || error.code === 'CANCELLED';
}

const NEVER = new AbortController().signal;

function tooLate(name: GroupCase, cause: SluiceError | undefined): SluiceError {
  const why = cause === undefined ? '' : `; the last answer was ${cause.code}: ${cause.message}`;
  return new SluiceError('TIMEOUT', `${name}: no answer in time${why}`, { cause });
}
