import type { ErrorCode } from '../kernel/errors.ts';
import type { Operation, Principal } from './principal.ts';

/** Something that whoever watches over a node's security wants to find in the log. */
export type SecurityEvent =
  | { readonly kind: 'authenticated'; readonly principal: Principal; readonly remoteAddress: string }
  | { readonly kind: 'authentication_failed'; readonly code: ErrorCode; readonly remoteAddress: string }
  | {
      readonly kind: 'access_denied';
      readonly principal: Principal;
      /** `see`: to learn that the topic exists, for which any right would do. */
      readonly operation: Operation | 'see';
      /** Undefined for what concerns the whole node. */
      readonly topic: string | undefined;
    }
  | {
      readonly kind: 'token_created' | 'token_deleted';
      readonly id: string;
      readonly name: string;
      readonly by: Principal;
    }
  | {
      readonly kind: 'certificate_issued' | 'certificates_replaced';
      readonly names: readonly string[];
      readonly notAfterMs: number;
    };

/** A log record without secrets: `level` for the logger, `record` with the stable event name first. */
export interface AuditRecord {
  readonly level: 'info' | 'warn';
  readonly record: Readonly<Record<string, unknown>> & { readonly evt: string };
}

/** Turns a security event into a log record. Never contains a secret: principals are reduced to kind and name. */
export function auditRecord(event: SecurityEvent): AuditRecord {
  const evt = `security.${event.kind}`;
  switch (event.kind) {
    case 'authenticated':
      return { level: 'info', record: { evt, ...who(event.principal), remoteAddress: event.remoteAddress } };
    case 'authentication_failed':
      return { level: 'warn', record: { evt, code: event.code, remoteAddress: event.remoteAddress } };
    case 'access_denied': {
      const { operation, topic } = event;
      const { remoteAddress } = event.principal;
      return { level: 'warn', record: { evt, ...who(event.principal), operation, topic, remoteAddress } };
    }
    case 'token_created':
    case 'token_deleted':
      return { level: 'info', record: { evt, ...who(event.by), tokenId: event.id, tokenName: event.name } };
    case 'certificate_issued':
    case 'certificates_replaced':
      return {
        level: 'info',
        record: { evt, names: event.names, notAfter: new Date(event.notAfterMs).toISOString() },
      };
  }
}

function who(principal: Principal): { readonly principal: string; readonly kind: Principal['kind'] } {
  return { principal: principal.name, kind: principal.kind };
}
