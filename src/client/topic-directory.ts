import { asSluiceError, errorCodeFromWire, SluiceError } from '../kernel/errors.ts';
import type { RequestBody, RequestName, ResponseBody } from './control-channel.ts';

/** Sends a request on whatever session there is, and again on the next one when that is lost. */
export type SendRequest = <Name extends RequestName>(
  name: Name,
  body: RequestBody<Name>,
) => Promise<ResponseBody<Name>>;

/** How many partitions topics have, as the broker said; topics that do not exist are created where the broker allows it. */
export class TopicDirectory {
  readonly #request: SendRequest;
  readonly #loading = new Map<string, Promise<number>>();

  constructor(request: SendRequest) {
    this.#request = request;
  }

  /**
   * Number of partitions of a topic, asked for now; callers that ask at the same time share one answer.
   *
   * @throws TOPIC_NOT_FOUND, INVALID_TOPIC, FORBIDDEN, TIMEOUT, CLOSED
   */
  partitionsOf(topic: string): Promise<number> {
    const loading = this.#loading.get(topic);
    if (loading !== undefined) return loading;
    const started = this.#load(topic).finally(() => this.#loading.delete(topic));
    this.#loading.set(topic, started);
    return started;
  }

  async #load(topic: string): Promise<number> {
    const { topics } = await this.#request('metadata', { topics: [topic], autoCreate: true });
    const found = topics.find(({ name }) => name === topic);
    if (found === undefined) throw new SluiceError('TOPIC_NOT_FOUND', `the broker knows no topic '${topic}'`);
    if (found.errorCode !== 0) throw new SluiceError(errorCodeFromWire(found.errorCode), found.errorMessage);
    if (found.partitions.length === 0)
      throw asSluiceError(`topic '${topic}' has no partitions`, 'UNAVAILABLE');
    return found.partitions.length;
  }
}
