import type { SettlementName } from '../../client/index.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import { withClient } from '../connection.ts';
import type { QueueFlags } from './queue.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption } from '../units.ts';

/** Options of `sluice queue ack|nack|reject|extend|release`; each has its own. */
export interface QueueSettleFlags extends QueueFlags {
  readonly delay?: string;
  readonly lease?: string;
  readonly reason?: string;
}

const DONE: Record<SettlementName, string> = {
  ack: 'acknowledged',
  nack: 'given back',
  reject: 'rejected',
  extend: 'extended',
  release: 'released',
};

/**
 * Settles records by the tokens that `queue receive --keep` has printed.
 * @throws LEASE_EXPIRED when one of them is not leased under its token any more; the others are settled all the same
 */
export function settleRecords(
  how: SettlementName,
  topic: string,
  tokens: readonly string[],
  flags: QueueSettleFlags,
  terminal: Terminal,
): Promise<void> {
  const delayMs = delayOf(flags);
  const { group, reason } = flags;
  return withClient(terminal, flags, async ({ admin }) => {
    const options = {
      group,
      ...(delayMs !== undefined && { delayMs }),
      ...(reason !== undefined && { reason }),
    };
    const errors = await admin.queues.settle(topic, how, tokens, options);
    const refused = tokens.flatMap((token, index) => {
      const error = errors[index];
      return error === undefined ? [] : [{ token, error }];
    });
    const settled = tokens.length - refused.length;
    terminal.stdout.line(
      flags.output === 'json'
        ? JSON.stringify({
            settled,
            refused: refused.map(({ token, error }) => ({ token, code: error.code })),
          })
        : `${DONE[how]} ${quantity(settled, 'record')}`,
    );
    const [first] = refused;
    if (first === undefined) return;
    const all = refused.map(({ token }) => token).join(' ');
    throw new SluiceError(first.error.code, `${all}: ${first.error.message}`, { cause: first.error });
  });
}

function delayOf({ delay, lease }: QueueSettleFlags): number | undefined {
  if (delay !== undefined) return durationOption('--delay', delay);
  return lease === undefined ? undefined : durationOption('--lease', lease);
}
