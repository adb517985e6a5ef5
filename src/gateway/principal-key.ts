import type { Principal } from '../broker/ports.ts';

/** The same text for calls of one principal with the same rights: what they ask may be asked together. */
export function principalKey({ kind, name, tokenId = '' }: Principal): string {
  return `${kind}\0${name}\0${tokenId}`;
}
