import type { PublishOutcome } from '../../broker/broker.ts';
import { parseAddress } from '../../catalog/topic-name.ts';
import { asSluiceError, SluiceError } from '../../kernel/errors.ts';
import type { ClientSession } from './client-session.ts';

const NO_HEADERS: readonly never[] = [];

/**
 * Stores one record for a raw PUBLISH: the address's key (none when it has no `/`), `value`, now.
 *
 * @param value ownership passes
 * @param done called once: undefined when it is stored, else why not; often before this returns
 * @see docs/protocol.md section 4
 */
export function rawPublish(
  session: ClientSession,
  address: string,
  value: Buffer,
  done: (refusal: SluiceError | undefined) => void,
): void {
  const { broker, clock, counters, encoder, limits } = session.context;
  counters.rawPublishes += 1;
  try {
    const principal = session.requirePrincipal();
    const { topic, key } = parseAddress(address, limits.maxKeyBytes);
    encoder.append(key ?? null, value, NO_HEADERS, Math.floor(clock.now()));
    const batch = encoder.finish({ codec: 'none' });
    broker.publish(principal, topic, undefined, batch, 1, (outcome: PublishOutcome | SluiceError) =>
      done(outcome instanceof SluiceError ? outcome : undefined),
    );
  } catch (error) {
    done(asSluiceError(error));
  }
}
