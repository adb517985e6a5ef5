import { Backoff } from '../kernel/backoff.ts';
import { asSluiceError, errorCodeFromWire, SluiceError } from '../kernel/errors.ts';
import type { RequestBody, RequestName, ResponseBody } from './connection/pending-requests.ts';
import type { ClientPorts } from './ports.ts';
import type { NodePlace } from './connection/session.ts';

/** Sends a request on whatever session there is, and again on the next one when that is lost. */
export type SendRequest = <Name extends RequestName>(
  name: Name,
  body: RequestBody<Name>,
) => Promise<ResponseBody<Name>>;

/** What a producer knows of a topic. */
export interface TopicShape {
  /** Number of partitions. */
  readonly partitions: number;
  /** By partition; grows with each start of its leader, so it tells one log in memory from the next. */
  readonly leaderEpochs: readonly number[];
  /** By partition, the node that leads it; empty: nobody does. */
  readonly leaders: readonly string[];
}

/** Waits between questions whose answers do not help. */
const PACE = { minMs: 50, maxMs: 2000 };
/** When nobody has asked for so long, the next question goes out at once, milliseconds. */
const PACE_FORGOTTEN_MS = 2 * PACE.maxMs;

/** How often a topic is asked for by those who know that what they know of it is wrong. */
interface Pace {
  readonly backoff: Backoff;
  /** Monotonic time of the last question, milliseconds. */
  askedMs: number;
  waiting: Promise<TopicShape> | undefined;
}

/** How many partitions topics have and who leads them, as the broker said; topics that do not exist are created where the broker allows it. */
export class TopicDirectory {
  readonly #request: SendRequest;
  readonly #ports: ClientPorts;
  readonly #heard: (nodes: readonly NodePlace[]) => void;
  readonly #loading = new Map<string, Promise<TopicShape>>();
  readonly #paces = new Map<string, Pace>();

  /** @param heard is told the nodes that the broker names in each answer, unless it names none */
  constructor(request: SendRequest, ports: ClientPorts, heard: (nodes: readonly NodePlace[]) => void) {
    this.#request = request;
    this.#ports = ports;
    this.#heard = heard;
  }

  /**
   * Partitions of a topic, asked for now; callers that ask at the same time share one answer.
   *
   * @throws TOPIC_NOT_FOUND, INVALID_TOPIC, FORBIDDEN, TIMEOUT, CLOSED
   */
  shapeOf(topic: string): Promise<TopicShape> {
    const loading = this.#loading.get(topic);
    if (loading !== undefined) return loading;
    const started = this.#load(topic).finally(() => this.#loading.delete(topic));
    this.#loading.set(topic, started);
    return started;
  }

  /**
   * {@link shapeOf} for those who know that the last answer is wrong by now: asked at once the first time, then after longer and
   * longer waits, which all callers share.
   *
   * @throws as {@link shapeOf}
   */
  shapeAgain(topic: string): Promise<TopicShape> {
    let pace = this.#paces.get(topic);
    if (pace === undefined) {
      pace = { backoff: new Backoff(PACE, this.#ports.random), askedMs: -Infinity, waiting: undefined };
      this.#paces.set(topic, pace);
    }
    const known = pace;
    known.waiting ??= this.#ask(topic, known).finally(() => {
      known.waiting = undefined;
    });
    return known.waiting;
  }

  async #ask(topic: string, pace: Pace): Promise<TopicShape> {
    const { clock } = this.#ports;
    const sinceMs = clock.monotonicMs() - pace.askedMs;
    if (sinceMs >= PACE_FORGOTTEN_MS) pace.backoff.reset();
    else {
      const waitMs = pace.backoff.nextMs() - sinceMs;
      await new Promise<void>((resolve) => void clock.setTimer(waitMs, resolve));
    }
    pace.askedMs = clock.monotonicMs();
    return this.shapeOf(topic);
  }

  async #load(topic: string): Promise<TopicShape> {
    const { topics, nodes } = await this.#request('metadata', { topics: [topic], autoCreate: true });
    if (nodes.length > 0) this.#heard(nodes);
    const found = topics.find(({ name }) => name === topic);
    if (found === undefined) throw new SluiceError('TOPIC_NOT_FOUND', `the broker knows no topic '${topic}'`);
    if (found.errorCode !== 0) throw new SluiceError(errorCodeFromWire(found.errorCode), found.errorMessage);
    if (found.partitions.length === 0)
      throw asSluiceError(`topic '${topic}' has no partitions`, 'UNAVAILABLE');
    const leaderEpochs: number[] = [];
    const leaders: string[] = [];
    for (const { partition, leaderEpoch, leaderNodeId } of found.partitions) {
      leaderEpochs[partition] = leaderEpoch;
      leaders[partition] = leaderNodeId;
    }
    return { partitions: found.partitions.length, leaderEpochs, leaders };
  }
}
