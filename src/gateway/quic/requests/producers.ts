import { numberToWire } from './convert.ts';
import type { RequestHandlers } from './handler.ts';

/** Requests of idempotent producers. */
export const producerHandlers: RequestHandlers<'initProducer'> = {
  async initProducer(session) {
    session.requirePrincipal();
    const { producerId, producerEpoch } = await session.context.broker.initProducer();
    return { producerId: numberToWire(producerId), producerEpoch };
  },
};
