import { asSluiceError, errorCodeFromWire, SluiceError } from '../kernel/errors.ts';
import type { RequestBody, RequestName, ResponseBody } from './control-channel.ts';

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
}

/** How many partitions topics have and who leads them, as the broker said; topics that do not exist are created where the broker allows it. */
export class TopicDirectory {
  readonly #request: SendRequest;
  readonly #loading = new Map<string, Promise<TopicShape>>();

  constructor(request: SendRequest) {
    this.#request = request;
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

  async #load(topic: string): Promise<TopicShape> {
    const { topics } = await this.#request('metadata', { topics: [topic], autoCreate: true });
    const found = topics.find(({ name }) => name === topic);
    if (found === undefined) throw new SluiceError('TOPIC_NOT_FOUND', `the broker knows no topic '${topic}'`);
    if (found.errorCode !== 0) throw new SluiceError(errorCodeFromWire(found.errorCode), found.errorMessage);
    if (found.partitions.length === 0)
      throw asSluiceError(`topic '${topic}' has no partitions`, 'UNAVAILABLE');
    const leaderEpochs: number[] = [];
    for (const { partition, leaderEpoch } of found.partitions) leaderEpochs[partition] = leaderEpoch;
    return { partitions: found.partitions.length, leaderEpochs };
  }
}
