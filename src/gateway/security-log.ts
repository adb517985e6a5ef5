import type { Clock } from '../kernel/clock.ts';
import { RateLimit } from '../kernel/rate-limit.ts';
import type { SecurityEvent } from '../security/audit.ts';
import { auditRecord } from '../security/audit.ts';
import { clientHost } from '../security/client-host.ts';
import { LeftOut } from '../telemetry/left-out.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Kinds that anybody can cause as often as they like, and their bounds. What an administrator does is always written. */
const BOUNDED: ReadonlySet<SecurityEvent['kind']> = new Set([
  'authenticated',
  'authentication_failed',
  'access_denied',
]);
/** Records of one kind in a burst, and per second after that. */
const BURST = 100;
const PER_SECOND = 10;
/** Of these, records about one client: so that one that does nothing else does not hide the others. */
const BURST_OF_ONE = 10;
const PER_SECOND_OF_ONE = 0.2;
/** Clients of one kind remembered; beyond that the one that was remembered longest ago is forgotten. */
const MAX_CLIENTS = 1_000;

interface Bounds {
  readonly all: RateLimit;
  readonly byClient: Map<string, RateLimit>;
}

/**
 * Logs what whoever watches over the node's security wants to find. Nobody can fill the log: each kind of event has a rate, and a
 * smaller one for each client; what was left out is counted in `security.events_left_out`.
 */
export class SecurityLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #bounds = new Map<SecurityEvent['kind'], Bounds>();
  readonly #leftOut: LeftOut;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#leftOut = new LeftOut(clock, (counts) => log.warn('security.events_left_out', counts));
  }

  note(event: SecurityEvent): void {
    if (BOUNDED.has(event.kind) && !this.#mayWrite(event)) return;
    const { level, record } = auditRecord(event);
    const { evt, ...fields } = record;
    this.#log[level](evt, fields);
  }

  #mayWrite(event: SecurityEvent): boolean {
    const bounds = this.#boundsOf(event.kind);
    // The client first: what one is refused takes nothing from the others.
    if (this.#limitOf(bounds, clientOf(event)).take() && bounds.all.take()) return true;
    this.#leftOut.count(event.kind);
    return false;
  }

  #boundsOf(kind: SecurityEvent['kind']): Bounds {
    let bounds = this.#bounds.get(kind);
    if (!bounds) {
      bounds = { all: new RateLimit(this.#clock, PER_SECOND, BURST), byClient: new Map() };
      this.#bounds.set(kind, bounds);
    }
    return bounds;
  }

  #limitOf({ byClient }: Bounds, client: string): RateLimit {
    const limit = byClient.get(client) ?? new RateLimit(this.#clock, PER_SECOND_OF_ONE, BURST_OF_ONE);
    byClient.delete(client); // to the end of the order
    byClient.set(client, limit);
    if (byClient.size > MAX_CLIENTS) byClient.delete(byClient.keys().next().value!);
    return limit;
  }
}

/** Whom an event is about: who is known by its name, a stranger by its place. */
function clientOf(event: SecurityEvent): string {
  switch (event.kind) {
    case 'authenticated':
    case 'access_denied':
      return `${event.principal.kind} ${event.principal.name}`;
    case 'authentication_failed':
      return clientHost(event.remoteAddress);
    default:
      return '';
  }
}
