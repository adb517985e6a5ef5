import { describe, expect, it } from 'vitest';
import type { EpochHistory } from '../../src/partition/epoch-history.ts';
import { divergence, endOfEpoch, epochBefore, truncationPoint } from '../../src/partition/epoch-history.ts';

/** @param entries as `epoch@firstOffset` */
function history(entries: string, logEnd: number, logStart = 0): EpochHistory {
  const leaderEpochs = entries
    .split(' ')
    .filter(Boolean)
    .map((entry) => {
      const [epoch, firstOffset] = entry.split('@').map(Number);
      return { epoch: epoch!, firstOffset: firstOffset! };
    });
  return { leaderEpochs, logStart, logEnd };
}

describe('the epoch before an offset', () => {
  it.each([
    ['nothing was ever written', '', 0, -1],
    ['at the beginning of the first epoch', '3@0 5@10', 0, -1],
    ['inside an epoch', '3@0 5@10', 4, 3],
    ['where the next epoch begins', '3@0 5@10', 10, 3],
    ['after the first batch of an epoch', '3@0 5@10', 11, 5],
    ['in a hole before an epoch', '3@0 5@10', 8, 3],
    ['what came before is forgotten', '5@10', 10, -1],
  ])('%s', (_what, entries, offset, expected) => {
    expect(epochBefore(history(entries, 20), offset)).toBe(expected);
  });
});

describe('the end of an epoch', () => {
  it.each([
    ['the newest ends with the log', 5, { epoch: 5, endOffset: 20 }],
    ['an older one ends where the next begins', 3, { epoch: 3, endOffset: 10 }],
    ['one that wrote nothing: the largest below it', 4, { epoch: 3, endOffset: 10 }],
    ['one that is not known yet: the newest', 9, { epoch: 5, endOffset: 20 }],
    ['one below all: the log start', 2, { epoch: -1, endOffset: 0 }],
    ['none', -1, { epoch: -1, endOffset: 0 }],
  ])('%s', (_what, epoch, expected) => {
    expect(endOfEpoch(history('3@0 5@10', 20), epoch)).toEqual(expected);
  });

  it('is the log start in an empty log', () => {
    expect(endOfEpoch(history('', 40, 40), 3)).toEqual({ epoch: -1, endOffset: 40 });
  });
});

describe('whether a follower can go on', () => {
  it.each([
    ['caught up', '3@0 5@10', 5, 20, undefined],
    ['behind in the same epoch', '3@0 5@10', 5, 12, undefined],
    ['behind, at the end of an older epoch', '3@0 5@10', 3, 10, undefined],
    ['behind, inside an older epoch', '3@0 5@10', 3, 4, undefined],
    ['empty, and so is the leader', '', -1, 0, undefined],
    ['empty', '3@0 5@10', -1, 0, undefined],
    ['more of an older epoch than the leader', '3@0 5@10', 3, 12, { epoch: 3, endOffset: 10 }],
    ['more of the newest epoch than the leader', '3@0 5@10', 5, 21, { epoch: 5, endOffset: 20 }],
    ['an epoch that the leader does not have, in between', '3@0 5@10', 4, 8, { epoch: 3, endOffset: 10 }],
    ['an epoch above all that the leader has', '3@0 5@10', 6, 15, { epoch: 5, endOffset: 20 }],
    [
      'an epoch the leader does not have, also where it ends alike',
      '3@0',
      4,
      20,
      { epoch: 3, endOffset: 20 },
    ],
    ['nothing, where retention or its leader has let it begin', '3@0', -1, 5, undefined],
    ['nothing, at the end', '3@0', -1, 20, undefined],
    ['nothing, beyond the end', '3@0', -1, 21, { epoch: -1, endOffset: 0 }],
  ])('%s', (_what, entries, lastEpoch, fetchOffset, expected) => {
    expect(divergence(history(entries, 20 * Math.sign(entries.length)), { lastEpoch, fetchOffset })).toEqual(
      expected,
    );
  });

  it.each([
    ['an epoch that is forgotten, at the start', 4, 100, undefined],
    ['nothing, after it began anew at the start', -1, 100, undefined],
    ['an epoch that is forgotten, beyond the start', 4, 101, { epoch: -1, endOffset: 100 }],
  ])('when the leader retains only its newest epoch: %s', (_what, lastEpoch, fetchOffset, expected) => {
    expect(divergence(history('5@100', 120, 100), { lastEpoch, fetchOffset })).toEqual(expected);
  });
});

/** Both histories as one letter per batch and epoch: `aab` is two batches of epoch 0 and one of epoch 1. */
interface Log {
  text: string;
}

const historyOf = ({ text }: Log): EpochHistory => {
  const entries = Array.from(text).flatMap((letter, offset) =>
    text[offset - 1] === letter ? [] : [{ epoch: letter.charCodeAt(0) - 97, firstOffset: offset }],
  );
  return { leaderEpochs: entries, logStart: 0, logEnd: text.length };
};

/** Lets a follower ask until it may go on. @returns what is left of its log, and how often it went back */
function settle(leader: string, follower: string): { left: string; steps: number } {
  const log: Log = { text: follower };
  for (let steps = 0; ; steps++) {
    const fetchOffset = log.text.length;
    const lastEpoch = epochBefore(historyOf(log), fetchOffset);
    const diverging = divergence(historyOf({ text: leader }), { fetchOffset, lastEpoch });
    if (!diverging) return { left: log.text, steps };
    const to = truncationPoint(historyOf(log), diverging);
    if (to >= fetchOffset) throw new Error(`${follower} does not get anywhere with ${leader}`);
    log.text = log.text.slice(0, to);
  }
}

describe('going back', () => {
  it.each([
    ['the leader has overtaken', 'aabb', 'aa', 'aa', 0],
    ['the tail of an old leader goes', 'aabb', 'aaaa', 'aa', 1],
    ['KIP-101: both have written at the same offset', 'aac', 'aab', 'aa', 1],
    ['KIP-279: fast changes of leader, epochs that the other has not', 'aaccc', 'aabbb', 'aa', 1],
    ['KIP-279: epochs that alternate', 'aacc', 'aabbdd', 'aa', 2],
    ['KIP-279: the epoch asked for is in neither', 'aaaddd', 'abbccc', 'a', 1],
    ['nothing is common', 'bbb', 'aaa', '', 1],
    ['the leader is empty', '', 'abc', '', 1],
  ])('%s', (_what, leader, follower, left, steps) => {
    expect(settle(leader, follower)).toEqual({ left, steps });
  });

  it('always comes to a common beginning, whatever two sequences of leaders left', () => {
    // One leader per epoch writes anywhere behind what it has of its predecessors: all histories of two copies over three epochs.
    const copies = ['', 'a', 'aa'];
    for (const a1 of copies) {
      for (const a2 of copies) {
        for (const b of ['', 'b', 'bb']) {
          for (const c of ['', 'c', 'cc']) {
            const [leader, follower] = [a1 + c, a2 + b];
            const { left } = settle(leader, follower);
            expect(leader.startsWith(left), `${leader} and ${follower}`).toBe(true);
          }
        }
      }
    }
  });
});
