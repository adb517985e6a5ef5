import type { TokenGrant } from '../coordination/coordinator.ts';

/** Who is asking, as authentication made it out. The broker only hands it to the {@link Authorizer} and names it in answers. */
export interface Principal {
  readonly name: string;
}

/** What a principal wants to do with a topic. */
export type Operation = 'publish' | 'subscribe' | 'admin';

/** The access decision; pure and quick, because every publish asks it. */
export interface Authorizer {
  /** @param topic a topic's literal name */
  allows(principal: Principal, operation: Operation, topic: string): boolean;
  /** Whether the principal may administer the node itself: tokens, status, everybody's subscriptions. */
  allowsNode(principal: Principal): boolean;
}

/** What a client shows to say who it is; with neither it is anonymous. */
export interface Credentials {
  readonly token?: string | undefined;
  /** DER of the client certificate that the transport has verified. */
  readonly certificate?: Buffer | undefined;
}

/** Turns credentials into a principal. */
export interface Authenticator {
  /** @throws UNAUTHENTICATED when they are wrong, expired or revoked, or when anonymous clients are not let in */
  authenticate(credentials: Credentials): Principal;
}

/** What a new token shall be. */
export interface NewToken {
  /** Name of the principal that shows it. */
  readonly principal: string;
  readonly grants: readonly TokenGrant[];
  /** Milliseconds since 1970; 0 = never. */
  readonly expiresMs: number;
}

/** A token without anything secret. */
export interface TokenDescription extends NewToken {
  readonly id: string;
  readonly createdMs: number;
}

/** Where tokens are made, listed and revoked. */
export interface TokenStore {
  /** @returns the token itself, which is shown once and kept nowhere */
  create(token: NewToken): Promise<{ readonly id: string; readonly token: string }>;
  list(): readonly TokenDescription[];
  /** @throws TOKEN_NOT_FOUND */
  revoke(id: string): Promise<void>;
}

/** What a gateway knows about a subscription and the broker shows in `listSubscriptions`; asked only then. */
export interface SubscriberInfo {
  readonly connection: string;
  readonly clientId: string;
  /** The client's number of the subscription; 0 in raw mode. */
  readonly subscriptionId: number;
  readonly name: string;
  readonly delivery: 'ordered' | 'unordered' | 'datagram';
  readonly paused: boolean;
  /** Total milliseconds that this partition's stream has waited for the subscriber's window. */
  blockedMs(topic: string, partition: number): number;
}
