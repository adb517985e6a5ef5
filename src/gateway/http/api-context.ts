import type { Broker } from '../../broker/broker.ts';
import type { Principal } from '../../broker/ports.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Random } from '../../kernel/random.ts';
import type { FailedAuthentications } from '../../security/failed-authentications.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { CredentialWatch } from '../credential-watch.ts';
import type { PumpScheduler } from '../pump-scheduler.ts';
import type { SecurityLog } from '../security-log.ts';
import type { AnswerDesk } from './answers/answer-desk.ts';
import type { ConnectionLines } from './answers/connection-lines.ts';
import type { HttpCounters } from './counters.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; there in every handler of the API. */
    principal: Principal;
  }
}

/** What the API asks of a broker. */
export type ApiBroker = Pick<
  Broker,
  | 'authenticate'
  | 'isStillValid'
  | 'publish'
  | 'subscribe'
  | 'openReader'
  | 'metadata'
  | 'createTopic'
  | 'alterTopic'
  | 'deleteTopic'
  | 'listTopics'
  | 'describeTopic'
  | 'listOffsets'
  | 'deleteRecords'
  | 'status'
> & {
  readonly groups: Pick<Broker['groups'], 'ask'>;
  readonly cluster: Pick<Broker['cluster'], 'status'>;
};

/** Bounds of the API, bytes. */
export interface ApiLimits {
  /** Body of one request. */
  readonly bodyMaxBytes: number;
  /** Bodies that have arrived in part, of all requests together. */
  readonly bodiesMaxBytes: number;
  /** Key of a record. */
  readonly keyMaxBytes: number;
  /** What a batch may inflate to. */
  readonly inflatedMaxBytes: number;
}

/** What the API is served with. */
export interface ApiOptions {
  readonly broker: ApiBroker;
  readonly clock: Clock;
  readonly random: Random;
  readonly security: Pick<SecurityLog, 'note'>;
  readonly failedAuthentications: Pick<FailedAuthentications, 'note'>;
  readonly limits: ApiLimits;
  /** Origins whose pages may use the API, `https://app.example`; `*` is every one. */
  readonly origins: readonly string[];
  /** Names this node is known by, besides IP addresses: a page that was loaded from one is no stranger. */
  readonly names: readonly string[];
}

/** What routes of the API share. */
export interface ApiContext extends ApiOptions {
  readonly counters: HttpCounters;
  readonly log: Logger;
  /** Aborts when the gateway lets its clients go: what waits for records answers with what there is. */
  readonly going: AbortSignal;
  /** Looks after the credentials of who waits. */
  readonly credentials: CredentialWatch;
  /** Gives streams and large answers their turns. */
  readonly scheduler: PumpScheduler;
  /** Where large answers are made. */
  readonly desk: AnswerDesk;
  /** A hook of routes whose answers may be large: of one connection they are made one after the other. */
  readonly inOrder: ConnectionLines['enter'];
}
