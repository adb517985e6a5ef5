import type { FastifyReply } from 'fastify';

/**
 * Calls back once, when the client has taken the whole answer or is gone: at once where it is gone already.
 *
 * An answer that stands behind others of its connection never hears itself that the connection has ended: the connection is asked too.
 */
export function whenTaken({ raw, request }: FastifyReply, callback: () => void): void {
  const { socket } = request.raw;
  if (isGone(request)) {
    callback();
    return;
  }
  const settle = (): void => {
    raw.off('close', settle);
    socket.off('close', settle);
    callback();
  };
  raw.once('close', settle);
  socket.once('close', settle);
}

/** Whether nobody is there any more to be answered. */
export function isGone({ raw }: FastifyReply['request']): boolean {
  return raw.socket.destroyed;
}
