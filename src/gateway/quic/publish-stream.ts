import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { Stream } from '../../transport/transport.ts';
import { FRAME, frameName } from '../../wire/frame.ts';
import { decodeProduce } from '../../wire/produce.ts';
import { errorFrame } from './error-frame.ts';
import { URGENCY } from './limits.ts';
import { ProducedAnswers } from './produced-answers.ts';
import { rawPublish } from './raw-publish.ts';
import type { ClientSession, Settling, StreamWork } from './client-session.ts';
import type { StreamInput } from './stream-input.ts';

/**
 * A stream on which a client publishes: PRODUCE frames, each answered in the order of its partition, or raw PUBLISH frames.
 *
 * A client that does not read its answers is not read either, once {@link GatewayLimits.maxAnswerBytes} of them wait; nor is one of whose
 * publishes more than {@link GatewayLimits.maxInFlight} have no answer, be it because another of the same partition comes before it.
 *
 * @see docs/protocol.md sections 4 and 6
 */
export class PublishStream implements StreamWork {
  readonly #session: ClientSession;
  readonly #stream: Stream;
  readonly #input: StreamInput;
  /** What the session knows the stream by. */
  readonly #owner: Settling;
  /** Undefined on a unidirectional stream. */
  readonly #answers: ProducedAnswers | undefined;
  /** Publishes whose outcome is not known, answered or not. */
  #inFlight = 0;
  #inTurn = false;
  #flushScheduled = false;
  #inputEnded = false;
  #over = false;

  constructor(session: ClientSession, stream: Stream, input: StreamInput, owner: Settling) {
    this.#session = session;
    this.#stream = stream;
    this.#input = input;
    this.#owner = owner;
    const { send } = stream;
    if (send) {
      this.#answers = new ProducedAnswers(send);
      send.setPriority(URGENCY.ANSWERS, true);
      send.onWritable = () => this.#wroteOut();
      send.onStopped = () => this.#wroteOut();
    }
  }

  /** Whether everything that was received has been answered, as far as this end can know. */
  get settled(): boolean {
    return this.#inFlight === 0 && !this.#input.holding && (this.#stream.send?.bufferedBytes ?? 0) === 0;
  }

  get congested(): boolean {
    const { maxAnswerBytes, maxInFlight } = this.#session.context.limits;
    const unanswered = Math.max(this.#inFlight, this.#answers?.waiting ?? 0);
    return unanswered > maxInFlight || (this.#stream.send?.bufferedBytes ?? 0) > maxAnswerBytes;
  }

  onFrame(type: number, topic: string, payload: Buffer): void {
    this.#inTurn = true;
    if (type === FRAME.PRODUCE) this.#produce(topic, payload);
    else if (type === FRAME.PUBLISH) this.#publish(topic, payload);
    else throw new SluiceError('PROTOCOL_ERROR', `${frameName(type)} does not belong on a publish stream`);
  }

  onTurnEnd(): void {
    this.#inTurn = false;
    this.#answers?.flush();
  }

  onEnd(): void {
    this.#inputEnded = true;
    this.#finishWhenAnswered();
  }

  onReset(): void {
    this.#inputEnded = true;
    this.#finishWhenAnswered();
  }

  onFailure(error: SluiceError): void {
    this.#session.countError(error.code);
    this.#end(error.wire);
  }

  #produce(topic: string, payload: Buffer): void {
    const answers = this.#answers;
    if (!answers) throw new SluiceError('PROTOCOL_ERROR', 'PRODUCE needs a bidirectional stream');
    const { correlation, partition, acks, batch } = decodeProduce(payload);
    const { broker, counters } = this.#session.context;
    counters.produceFrames += 1;
    const slot = acks === 0 ? undefined : answers.open(correlation, topic, partition);
    this.#inFlight += 1;
    try {
      const principal = this.#session.requirePrincipal();
      broker.publish(principal, topic, partition, batch, acks, (outcome) => {
        if (outcome instanceof SluiceError) this.#session.countError(outcome.code);
        if (slot) answers.settle(slot, outcome);
        else if (outcome instanceof SluiceError) this.#end(outcome.wire);
        this.#outcomeKnown();
      });
    } catch (error) {
      const refusal = asSluiceError(error);
      this.#session.countError(refusal.code);
      if (slot) answers.settle(slot, refusal);
      else this.#end(refusal.wire);
      this.#outcomeKnown();
    }
  }

  #publish(address: string, value: Buffer): void {
    this.#inFlight += 1;
    rawPublish(this.#session, address, value, (refusal) => {
      if (refusal) this.#refusePublish(refusal);
      this.#outcomeKnown();
    });
  }

  #refusePublish(refusal: SluiceError): void {
    this.#session.countError(refusal.code);
    if (this.#stream.send) this.#stream.send.write(errorFrame(0, refusal));
    else this.#end(refusal.wire);
  }

  #outcomeKnown(): void {
    this.#inFlight -= 1;
    if (this.#inTurn || this.#over) return;
    this.#scheduleFlush();
  }

  /** Outcomes that become known in one tick are answered in one write. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      this.#answers?.flush();
      this.#input.recheck();
      this.#finishWhenAnswered();
      this.#session.progressed();
    });
  }

  /** The answers were taken over, or the client does not want them: then the transport throws them away. */
  #wroteOut(): void {
    this.#input.recheck();
    this.#session.progressed();
  }

  /** The client ended its half: so does the broker, after the last answer. */
  #finishWhenAnswered(): void {
    if (!this.#inputEnded || this.#inFlight > 0 || this.#over) return;
    this.#answers?.flush();
    this.#stream.send?.end();
    this.#close();
  }

  #end(code: number): void {
    if (this.#over) return;
    this.#input.stop(code);
    this.#stream.send?.reset(code);
    this.#close();
  }

  #close(): void {
    this.#over = true;
    this.#session.streamOver(this.#owner);
  }
}
