/** A promise that was broken. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** Which one; tests look at this. */
  readonly property: string;

  constructor(property: string, what: string) {
    super(`${property}: ${what}`);
    this.property = property;
  }
}
