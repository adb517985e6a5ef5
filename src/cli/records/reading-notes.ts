import { parseFilter } from '../../catalog/topic-filter.ts';
import type { Client, GapEvent } from '../../client/index.ts';
import { asSluiceError } from '../../kernel/errors.ts';
import { quantity } from '../../kernel/quantity.ts';
import type { Terminal } from '../terminal.ts';

/** A gap, as stderr shows it. */
export function gapNote({ topic, partition, from, to, reason }: GapEvent): string {
  return `sluice: gap: ${quantity(to - from, 'record')} gone from ${topic}/${partition} (offsets ${from} to ${to - 1}, ${reason})`;
}

/** Tells on stderr of a connection that is lost, and of the one after it. */
export function noteConnection(client: Client, { stderr }: Terminal): void {
  let lost = false;
  client.on('disconnected', ({ error }) => {
    lost = true;
    stderr.line(`sluice: connection lost (${error.code}); trying again`);
  });
  client.on('connected', () => {
    if (lost) stderr.line('sluice: connected again');
    lost = false;
  });
}

/**
 * Asks whether the topic of a filter exists, before something is asked for that creates it.
 *
 * @param filter one with a wildcard creates none
 * @param isQuiet nobody wants to know
 * @returns says on stderr that it was created, where it was not there
 */
export async function noteIfMissing(
  { admin }: Client,
  filter: string,
  { stderr }: Terminal,
  isQuiet = false,
): Promise<() => void> {
  let topic: string | undefined;
  try {
    topic = isQuiet ? undefined : parseFilter(filter).topic;
    if (topic !== undefined) await admin.describeTopic(topic);
  } catch (error) {
    if (asSluiceError(error).code === 'TOPIC_NOT_FOUND') {
      return () => stderr.line(`sluice: there was no topic ${topic}; it was created, and waits for records`);
    }
    // Whatever else is wrong is said by what is asked for next.
  }
  return () => undefined;
}
