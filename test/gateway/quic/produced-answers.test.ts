import { describe, expect, it } from 'vitest';
import type { PublishOutcome } from '../../../src/broker/broker.ts';
import { ProducedAnswers } from '../../../src/gateway/quic/produced-answers.ts';
import { SluiceError } from '../../../src/kernel/errors.ts';
import type { SendStream } from '../../../src/transport/transport.ts';
import { FrameReader } from '../../../src/wire/frame-reader.ts';
import { decodeProduced } from '../../../src/wire/produce.ts';

const STORED: PublishOutcome = { kind: 'appended', partition: 0, baseOffset: 7, appendTimeMs: 1 };

/** Answers, and the correlations of those that have been written. */
function open() {
  const written: number[] = [];
  const limits = { maxFrameBytes: 1024, maxControlBytes: 1024 };
  const reader = new FrameReader(limits, (_type, _topic, payload) => {
    written.push(decodeProduced(payload).correlation);
  });
  const answers = new ProducedAnswers({
    write: (bytes: Buffer) => reader.push(bytes),
  } as unknown as SendStream);
  return { answers, written };
}

describe('answers of a publish stream', () => {
  it('are in the order of the questions where they are of one partition', () => {
    const { answers, written } = open();
    const [a, b, c, d] = [1, 2, 3, 4].map((correlation) => answers.open(correlation, 't', 0));
    answers.settle(c!, STORED);
    answers.settle(b!, new SluiceError('NOT_LEADER', 'for once'));
    answers.flush();
    expect(written).toEqual([]);
    answers.settle(a!, STORED);
    answers.flush();
    expect(written).toEqual([1, 2, 3]);
    answers.settle(d!, STORED);
    answers.flush();
    expect(written).toEqual([1, 2, 3, 4]);
  });

  it('do not wait for those of other partitions and topics', () => {
    const { answers, written } = open();
    const slow = answers.open(1, 't', 0);
    const others = [answers.open(2, 't', 1), answers.open(3, 'u', 0), answers.open(4, 't', undefined)];
    for (const slot of others) answers.settle(slot, STORED);
    answers.flush();
    expect(written).toEqual([2, 3, 4]);
    answers.settle(slow, STORED);
    answers.flush();
    expect(written).toEqual([2, 3, 4, 1]);
  });

  it('go on in order after all of a partition were answered', () => {
    const { answers, written } = open();
    answers.settle(answers.open(1, 't', 0), STORED);
    const [second, third] = [answers.open(2, 't', 0), answers.open(3, 't', 0)];
    answers.settle(third, STORED);
    answers.settle(second, STORED);
    answers.flush();
    expect(written).toEqual([1, 2, 3]);
  });
});
