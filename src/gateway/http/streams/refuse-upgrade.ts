import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { SluiceError } from '../../../kernel/errors.ts';
import { ERRORS } from '../../../kernel/errors.ts';

/** Answers a request for an upgrade with an error as every other request gets it, and closes the connection. */
export function refuseUpgrade(socket: Socket, { code, message }: SluiceError): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ error: { code, message } });
  const status = ERRORS[code].http;
  const challenge = code === 'UNAUTHENTICATED' ? 'www-authenticate: Bearer\r\n' : '';
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\nconnection: close\r\n${challenge}` +
      `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  // Whatever the client does.
  socket.once('finish', () => socket.destroySoon());
}
