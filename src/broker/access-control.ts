import { isInternalTopic, quoted } from '../catalog/topic-name.ts';
import { SluiceError } from '../kernel/errors.ts';
import type { Authorizer, Operation, Principal } from './ports.ts';

/** Whom what the broker does by itself is done for; it may do everything. Known by its identity: no name makes somebody else it. */
export const BROKER_ITSELF: Principal = Object.freeze({
  name: '__broker',
  kind: 'certificate',
  admin: true,
  rights: [],
});

const OPERATIONS: readonly Operation[] = ['subscribe', 'publish', 'admin'];

/**
 * Puts the access decision into the broker's words: internal topics are for who administers them to read, and for nobody to write, because
 * rubbish there would keep what they hold from being loaded; and no is FORBIDDEN.
 */
export class AccessControl {
  readonly #authorizer: Authorizer;

  constructor(authorizer: Authorizer) {
    this.#authorizer = authorizer;
  }

  /** @param topic undefined for the node itself */
  allows(principal: Principal, operation: Operation, topic: string | undefined): boolean {
    if (principal === BROKER_ITSELF) return true;
    if (!this.#authorizer.allows(principal, operation, topic)) return false;
    if (topic === undefined || !isInternalTopic(topic)) return true;
    return operation !== 'publish' && this.#authorizer.allows(principal, 'admin', topic);
  }

  /** Whether the principal may know that a topic exists: who may do anything to it. */
  maySee(principal: Principal, topic: string): boolean {
    return OPERATIONS.some((operation) => this.allows(principal, operation, topic));
  }

  /** @throws FORBIDDEN */
  check(principal: Principal, operation: Operation, topic: string | undefined): void {
    if (!this.allows(principal, operation, topic)) this.refuse(principal, operation, topic);
  }

  /** What was found not to be allowed. @param topic or a wildcard @throws FORBIDDEN */
  refuse(principal: Principal, operation: Operation, topic: string | undefined): never {
    this.#authorizer.denied?.(principal, operation, topic);
    throw new SluiceError(
      'FORBIDDEN',
      `${quoted(principal.name)} may not ${operation} ${topic === undefined ? 'this node' : quoted(topic)}`,
    );
  }

  /** @throws FORBIDDEN */
  checkMaySee(principal: Principal, topic: string): void {
    if (this.maySee(principal, topic)) return;
    this.#authorizer.denied?.(principal, 'see', topic);
    throw new SluiceError('FORBIDDEN', `${quoted(principal.name)} may do nothing with ${quoted(topic)}`);
  }
}
