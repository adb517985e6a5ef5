/** Coordinators of one partition that are told apart, in each epoch. */
const LOADS = 64;
/** Epochs in a row that are told apart. */
const EPOCHS = 64;

/** Terms there are: each is below. */
export const TERMS = EPOCHS * LOADS;

/**
 * Tells the coordinators apart that one partition of `__groups` has in a row, of one epoch or of several. None knows what the one before could not
 * store, so each numbers its grants by its term: then a lease that was perhaps never stored can be given back, and nobody else's is meant.
 *
 * @param loads how often the state was loaded in that epoch before
 */
export function termOf(leaderEpoch: number, loads: number): number {
  return (leaderEpoch % EPOCHS) * LOADS + (loads % LOADS);
}

/** The first number from `least` on that only coordinators of that term give. @param term undefined: nobody else gives any */
export function nextOfTerm(least: number, term: number | undefined): number {
  return term === undefined ? least : least + ((term - (least % TERMS) + TERMS) % TERMS);
}
