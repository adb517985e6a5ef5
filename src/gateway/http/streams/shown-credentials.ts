import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** What a WebSocket of this gateway speaks. */
export const SUBPROTOCOL = 'sluice.v1';
/** A subprotocol that begins like this is a token: a browser's WebSocket can send nothing else. */
const TOKEN_PROTOCOL = 'sluice.token.';

/**
 * A request with its token where it belongs. A page's WebSocket and EventSource can send no Authorization header: the token of one may be
 * a subprotocol, of both the parameter `access_token`, which servers on the way may write into their logs.
 */
export function shownCredentials(
  { headers, socket }: IncomingMessage,
  query: URLSearchParams,
): { readonly headers: IncomingHttpHeaders; readonly socket: Socket } {
  if (headers.authorization !== undefined) return { headers, socket };
  const token = tokenProtocol(headers['sec-websocket-protocol']) ?? query.get('access_token') ?? undefined;
  if (token === undefined) return { headers, socket };
  return { headers: { ...headers, authorization: `Bearer ${token}` }, socket };
}

function tokenProtocol(offered = ''): string | undefined {
  return offered
    .split(',')
    .map((each) => each.trim())
    .find((each) => each.startsWith(TOKEN_PROTOCOL))
    ?.slice(TOKEN_PROTOCOL.length);
}
