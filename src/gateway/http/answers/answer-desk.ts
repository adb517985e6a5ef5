import type { FastifyRequest } from 'fastify';
import { asSluiceError, SluiceError } from '../../../kernel/errors.ts';
import { Slots } from '../../../kernel/slots.ts';
import type { ByteBudget } from '../../../log/byte-budget.ts';
import { clientHost } from '../../../security/client-host.ts';
import { principalKey } from '../../principal-key.ts';
import type { PumpScheduler } from '../../pump-scheduler.ts';
import type { Pump } from '../../turn-account.ts';
import { TurnAccount } from '../../turn-account.ts';
import { AnswerRoom, UnreadShare } from './answer-room.ts';
import { isGone } from './when-taken.ts';

/** Answers of one asker that are made at once. */
const AT_WORK_MAX = 4;
/** More of its answers, which wait; nothing was read for them. */
const WAITING_MAX = 1000;

/** An answer that is made, and what it takes until it is taken. */
export interface MadeAnswer {
  readonly body: Buffer;
  readonly room: AnswerRoom;
}

/** Work that may take long, done a few milliseconds at a time: it may be interrupted at each `yield`. */
export type Work<T> = Generator<undefined, T, undefined>;

/** Does work in the turns of who asked for it. @throws what the work throws; CLOSED when its client is gone */
export type DoWork = <T>(work: Work<T>) => Promise<T>;

/**
 * Where large answers are made, so that whoever asks for many holds up nobody else:
 *
 *     asker (principal, or address of a stranger) ── up to 4 at once ──> room for the answer ──> turns of some milliseconds ──> answer
 *          more wait, with nothing read for them          none: OVERLOADED, and nothing was read
 *
 * An asker who does not read its answers has a third of the room at the most.
 */
export class AnswerDesk {
  readonly #scheduler: PumpScheduler;
  readonly #unread: ByteBudget;
  readonly #ownMaxBytes: number;
  readonly #askers = new Map<string, Asker>();

  /**
   * @param unread of all clients together
   * @param ownMaxBytes of one asker
   */
  constructor(scheduler: PumpScheduler, unread: ByteBudget, ownMaxBytes = unread.limitBytes / 3) {
    this.#scheduler = scheduler;
    this.#unread = unread;
    this.#ownMaxBytes = ownMaxBytes;
  }

  /**
   * Makes an answer, or a part of one.
   *
   * @param space what it takes at the most, bytes (it may turn out larger by a record), or the room that the part before it had
   * @param make called when it is its turn and there is room; undefined: there is nothing to be answered yet
   * @throws OVERLOADED; CLOSED when the client is gone; what `make` throws
   */
  async make(
    request: FastifyRequest,
    space: number | AnswerRoom,
    make: (work: DoWork) => Promise<Buffer | undefined>,
  ): Promise<MadeAnswer | undefined> {
    const key = askerOf(request);
    const asker = this.#asker(key);
    if (asker.slots.waitingCount >= WAITING_MAX)
      throw new SluiceError('OVERLOADED', `${WAITING_MAX} large answers of yours wait to be made; ask later`);
    asker.answers += 1;
    try {
      return await asker.slots.run(() => {
        if (isGone(request)) throw gone();
        const doWork: DoWork = (work) => this.#doWork(asker.account, request, work);
        const room = space instanceof AnswerRoom ? space : new AnswerRoom(asker.unread, space);
        return makeIn(room, () => make(doWork));
      });
    } finally {
      asker.answers -= 1;
      this.#forgetIdle(key);
    }
  }

  /** @throws OVERLOADED when an answer of so many bytes would be refused now */
  checkRoom(request: FastifyRequest, bytes: number): void {
    const key = askerOf(request);
    try {
      new AnswerRoom(this.#asker(key).unread, bytes).give();
    } finally {
      this.#forgetIdle(key);
    }
  }

  #asker(key: string): Asker {
    let asker = this.#askers.get(key);
    if (asker === undefined) {
      asker = new Asker(new UnreadShare(this.#unread, this.#ownMaxBytes, () => this.#forgetIdle(key)));
      this.#askers.set(key, asker);
    }
    return asker;
  }

  #forgetIdle(key: string): void {
    const asker = this.#askers.get(key);
    if (asker?.answers === 0 && asker.unread.isEmpty) this.#askers.delete(key);
  }

  #doWork<T>(account: TurnAccount, request: FastifyRequest, work: Work<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const pump = (): boolean => {
        try {
          do {
            if (isGone(request)) throw gone();
            const { done, value } = work.next();
            if (done === true) {
              resolve(value);
              return false;
            }
          } while (!this.#scheduler.late);
          return true;
        } catch (error) {
          reject(asSluiceError(error));
          return false;
        }
      };
      const turns: Pump = { scheduled: false, account, pump };
      this.#scheduler.wake(turns);
    });
  }
}

/** Somebody for whom answers are made. */
class Asker {
  readonly unread: UnreadShare;
  readonly account = new TurnAccount();
  readonly slots = new Slots(AT_WORK_MAX);
  /** Made now, or waiting to be. */
  answers = 0;

  constructor(unread: UnreadShare) {
    this.unread = unread;
  }
}

async function makeIn(
  room: AnswerRoom,
  make: () => Promise<Buffer | undefined>,
): Promise<MadeAnswer | undefined> {
  let body: Buffer | undefined;
  try {
    body = await make();
  } finally {
    room.settle(body?.length ?? 0);
  }
  return body && { body, room };
}

function askerOf({ principal, ip }: FastifyRequest): string {
  return principal.kind === 'anonymous'
    ? clientHost(ip.includes(':') ? `[${ip}]:0` : ip)
    : principalKey(principal);
}

function gone(): SluiceError {
  return new SluiceError('CLOSED', 'nobody is there any more to be answered');
}
