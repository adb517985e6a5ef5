/** Node's codes for a call on a stream or session that has ended, by itself or by the peer, before its end was told here. */
const GONE: ReadonlySet<unknown> = new Set([
  'ERR_HTTP2_INVALID_STREAM',
  'ERR_HTTP2_INVALID_SESSION',
  'ERR_HTTP2_GOAWAY_SESSION',
  'ERR_HTTP2_SOCKET_UNBOUND',
]);

/**
 * Calls a method of an HTTP/2 stream or session that a peer may end at any moment: Node throws then, where there is nothing to
 * do but wait for its 'close'.
 *
 * @returns what `call` returned; undefined when the stream or session is gone
 */
export function unlessGone<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (GONE.has((error as { code?: unknown }).code)) return undefined;
    throw error;
  }
}
