import { describe, expect, it } from 'vitest';
import { PacedAnswers } from '../../src/peer/paced-answers.ts';
import { FakeStream } from './fake-stream.ts';

describe('answers of a stream', () => {
  /** The stream, its answers, and how many requests wait: two are enough. */
  function start() {
    const stream = new FakeStream<string, never>();
    const state = { waiting: 0, pausedWhenTaken: [] as boolean[] };
    const answers = new PacedAnswers(stream, {
      isFull: () => state.waiting >= 2,
      onTaken: () => state.pausedWhenTaken.push(stream.isPaused),
    });
    return { stream, answers, state };
  }

  it('are sent, and requests read, while both ends keep pace', () => {
    const { stream, answers } = start();
    answers.write('one');
    answers.write('two');
    expect([stream.written, stream.isPaused, answers.areTaken]).toEqual([['one', 'two'], false, true]);
  });

  it('that are not taken let no more requests be read until they are', () => {
    const { stream, answers } = start();
    stream.isRead = false;
    answers.write('one');
    expect([stream.isPaused, answers.areTaken]).toEqual([true, false]);
    stream.readAgain();
    expect([stream.isPaused, answers.areTaken]).toEqual([false, true]);
  });

  it('are waited for until the stream says that they are taken, though it takes a small one before', () => {
    const { stream, answers } = start();
    stream.isRead = false;
    answers.write('large');
    stream.isRead = true;
    answers.write('small');
    expect([stream.isPaused, answers.areTaken]).toEqual([true, false]);
    stream.readAgain();
    expect([stream.isPaused, answers.areTaken]).toEqual([false, true]);
  });

  it('for which enough requests wait let no more be read until one is sent', () => {
    const { stream, answers, state } = start();
    state.waiting = 1;
    answers.readIfRoom();
    expect(stream.isPaused).toBe(false);
    state.waiting = 2;
    answers.readIfRoom();
    expect(stream.isPaused).toBe(true);
    state.waiting = 1;
    answers.write('one');
    expect(stream.isPaused).toBe(false);
  });

  it('that are taken again let no requests be read while enough of them wait', () => {
    const { stream, answers, state } = start();
    stream.isRead = false;
    answers.write('one');
    state.waiting = 2;
    stream.readAgain();
    expect([stream.isPaused, answers.areTaken]).toEqual([true, true]);
  });

  it('that are taken again let go on what has waited for that, before more requests are read', () => {
    const { stream, answers, state } = start();
    stream.isRead = false;
    answers.write('one');
    stream.readAgain();
    expect(state.pausedWhenTaken).toEqual([true]);
    expect(stream.isPaused).toBe(false);
  });
});
