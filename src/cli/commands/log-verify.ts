import { storageError } from '../../kernel/storage-error.ts';
import type { Finding, LogReport } from '../../log/disk/log-check.ts';
import { checkLog } from '../../log/disk/log-check.ts';
import { nodeFileSystem } from '../../log/disk/node-file-system.ts';
import type { OutputFlags } from '../declare/declare-options.ts';
import { EXIT } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import { bytes, table } from '../format.ts';
import type { StoredFlags, StoredLog } from '../stored-logs.ts';
import { selectLogs, withStoredLogs } from '../stored-logs.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice log verify`. */
export interface VerifyFlags extends OutputFlags, StoredFlags {
  readonly topic?: string;
  readonly partition?: number;
}

type Checked = StoredLog & LogReport;

/** A log that was begun has a segment, if only an empty one. */
const NO_RECORDS = damaged('the records are gone: restore the folder, or delete the topic');

/**
 * Checks the logs of a stopped node and prints what was found in each.
 *
 * @returns 7 when something that was stored is damaged; what the next start puts right by itself is no damage
 * @throws DATA_DIR_LOCKED, TOPIC_NOT_FOUND, PARTITION_NOT_FOUND, INVALID_ARGUMENT, STORAGE_FAILED, CANCELLED
 */
export function verifyLogs(flags: VerifyFlags, terminal: Terminal): Promise<ExitCode> {
  return withStoredLogs(flags, terminal, async (all) => {
    const logs = selectLogs(all, flags.topic, flags.partition);
    const checked: Checked[] = [];
    for (const log of logs) checked.push({ ...log, ...(await check(log, terminal)) });
    if (flags.output === 'json') terminal.stdout.line(JSON.stringify(checked));
    else terminal.stdout.line(checked.length === 0 ? 'No topics on disk.' : asText(checked));
    return checked.some(isDamaged) ? EXIT.damaged : EXIT.ok;
  });
}

async function check({ directory, isBegun }: StoredLog, { interrupted }: Terminal): Promise<LogReport> {
  try {
    const report = await checkLog(directory, nodeFileSystem, interrupted);
    return report.segments === 0 && isBegun ? NO_RECORDS : report;
  } catch (cause) {
    const { code, path } = cause as NodeJS.ErrnoException;
    if (isBegun && code === 'ENOENT' && path === directory) return NO_RECORDS;
    const error = storageError(cause, 'cannot be read');
    // What cannot be read in one partition keeps nobody from looking at the others.
    if (error.code === 'STORAGE_FAILED') return damaged(error.message);
    throw error;
  }
}

function damaged(what: string): LogReport {
  const nothing = { segments: 0, bytes: 0, batches: 0, records: 0, logStart: 0, logEnd: 0 };
  return { ...nothing, findings: [{ kind: 'damage', file: '', what }] };
}

function asText(checked: readonly Checked[]): string {
  const rows = checked.map((one) => [
    one.topic,
    one.partition,
    one.segments,
    bytes(one.bytes),
    one.batches,
    one.records,
    `${one.logStart}–${one.logEnd}`,
    stateOf(one),
  ]);
  const headings = ['TOPIC', 'PARTITION', 'SEGMENTS', 'SIZE', 'BATCHES', 'RECORDS', 'OFFSETS', 'STATE'];
  const findings = checked.flatMap((one) =>
    one.findings.map((finding) => `${finding.kind}: ${one.directory}/${asLine(finding)}`),
  );
  return [table(headings, rows), ...(findings.length > 0 ? [''] : []), ...findings].join('\n');
}

function asLine({ file, position, what }: Finding): string {
  return `${file}${position === undefined ? '' : ` at byte ${position}`}: ${what}`;
}

function stateOf(one: Checked): string {
  if (isDamaged(one)) return 'damaged';
  return one.findings.length > 0 ? 'ok, see below' : 'ok';
}

function isDamaged({ findings }: Checked): boolean {
  return findings.some(({ kind }) => kind === 'damage');
}
