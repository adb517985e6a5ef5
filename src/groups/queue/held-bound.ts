import { SluiceError } from '../../kernel/errors.ts';
import type { Lot } from './lot.ts';

/**
 * What the state of one partition may take in memory before it only shrinks (less when the node is full, see `StateBudget`): nothing new is offered, and no settlement cuts a run of records in two.
 * What is leased or delayed has to be done first.
 */
export const HELD_MAX_BYTES = 64 * 1024 * 1024;

/**
 * Up to here runs are still cut where records are leased, and where some are done before those around them: so that who has few at a time goes on
 * when {@link HELD_MAX_BYTES} are reached. Beyond it runs are leased whole.
 */
export const CUT_MAX_BYTES = 72 * 1024 * 1024;

/**
 * Whether there are more lots when what they have of `[first, end)` gets a fate of its own.
 * @param lots all that it is about, in rising order
 * @param isDone the fate is to be done: it needs no lot
 */
export function makesMore(lots: readonly Lot[], first: number, end: number, isDone: boolean): boolean {
  const [left, right] = [lots[0], lots[lots.length - 1]];
  if (!left || !right) return false;
  const [cutsLeft, cutsRight] = [left.first < first, right.end > end];
  return isDone ? left === right && cutsLeft && cutsRight : cutsLeft || cutsRight;
}

/** Why nothing is done that needs more memory. */
export const FULL_TEXT =
  'too many records of this partition, or of all queues of the node, are leased, delayed or done apart from others';

/** @throws OVERLOADED */
export function tooMuchHeld(): never {
  throw new SluiceError('OVERLOADED', FULL_TEXT);
}
