import { numberToWire } from '../../../wire/offset.ts';
import type { RequestHandlers } from './handler.ts';

/** Requests of idempotent producers. */
export const producerHandlers: RequestHandlers<'initProducer'> = {
  async initProducer(session) {
    const principal = session.requirePrincipal();
    const { producerId, producerEpoch } = await session.context.broker.initProducer(principal);
    return { producerId: numberToWire(producerId), producerEpoch };
  },
};
