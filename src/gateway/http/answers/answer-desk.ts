import type { FastifyRequest } from 'fastify';
import { asSluiceError, SluiceError } from '../../../kernel/errors.ts';
import { Slots } from '../../../kernel/slots.ts';
import type { ByteBudget } from '../../../log/byte-budget.ts';
import { clientHost } from '../../../security/client-host.ts';
import { principalKey } from '../../principal-key.ts';
import type { PumpScheduler } from '../../quic/pump-scheduler.ts';
import type { Pump } from '../../quic/turn-account.ts';
import { TurnAccount } from '../../quic/turn-account.ts';
import { AnswerRoom } from './answer-room.ts';
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
 */
export class AnswerDesk {
  readonly #scheduler: PumpScheduler;
  readonly #unread: ByteBudget;
  readonly #askers = new Map<string, Asker>();

  /** @param unread of all clients together */
  constructor(scheduler: PumpScheduler, unread: ByteBudget) {
    this.#scheduler = scheduler;
    this.#unread = unread;
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
    const asker = this.#askers.get(key) ?? new Asker();
    if (asker.slots.waitingCount >= WAITING_MAX)
      throw new SluiceError('OVERLOADED', `${WAITING_MAX} large answers of yours wait to be made; ask later`);
    this.#askers.set(key, asker);
    asker.answers += 1;
    try {
      return await asker.slots.run(() => {
        if (isGone(request)) throw gone();
        const doWork: DoWork = (work) => this.#doWork(asker.account, request, work);
        const room = space instanceof AnswerRoom ? space : new AnswerRoom(this.#unread, space);
        return makeIn(room, () => make(doWork));
      });
    } finally {
      asker.answers -= 1;
      if (asker.answers === 0) this.#askers.delete(key);
    }
  }

  /** @throws OVERLOADED when an answer of so many bytes would be refused now */
  checkRoom(bytes: number): void {
    new AnswerRoom(this.#unread, bytes).give();
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
  readonly account = new TurnAccount();
  readonly slots = new Slots(AT_WORK_MAX);
  /** Made now, or waiting to be. */
  answers = 0;
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
