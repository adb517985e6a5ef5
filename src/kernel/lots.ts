/**
 * Lots for rendezvous hashing: each candidate draws one for each choice, and the best wins. It depends on nothing but the two, so that everybody
 * who knows the same candidates chooses the same.
 *
 * @see Thaler, Ravishankar: Using name-based mappings to increase hit rates, 1998
 */

/** FNV-1a over UTF-16 units, then mixed: 32 bits, unsigned. */
export function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  return mixed(hash);
}

/** The lot that a candidate draws for a choice: 32 bits, unsigned. @param choice {@link hashOf} it @param candidate likewise */
export function lotOf(choice: number, candidate: number): number {
  return mixed(choice ^ candidate);
}

/** Each bit of the result depends on each bit of `value`. @see the finalizer of MurmurHash3 */
function mixed(value: number): number {
  let bits = value ^ (value >>> 16);
  bits = Math.imul(bits, 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
