import type { SecurityEvent } from '../../security/audit.ts';
import { auditRecord } from '../../security/audit.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** Logs something that whoever watches over the node's security wants to find. */
export function logSecurity(log: Logger, event: SecurityEvent): void {
  const { level, record } = auditRecord(event);
  const { evt, ...fields } = record;
  log[level](evt, fields);
}
