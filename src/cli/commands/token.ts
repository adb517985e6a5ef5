import type { Grant } from '../../client/index.ts';
import { SluiceError } from '../../kernel/errors.ts';
import { withClient } from '../connection.ts';
import type { AdminFlags } from '../declare/declare-options.ts';
import { facts, table, timestamp } from '../format.ts';
import type { Terminal } from '../terminal.ts';
import { durationOption } from '../units.ts';

/** Options of `sluice token create`. */
export interface TokenCreateFlags extends AdminFlags {
  readonly grant: readonly string[];
  readonly expires?: string;
}

const OPERATIONS = ['publish', 'subscribe', 'admin'] as const;

/** Creates a token and shows it, once. @throws FORBIDDEN; INVALID_ARGUMENT for a grant that is none */
export function createToken(principal: string, flags: TokenCreateFlags, terminal: Terminal): Promise<void> {
  const grants = flags.grant.map(parseGrant);
  const expiresMs =
    flags.expires === undefined ? 0 : terminal.clock.now() + durationOption('--expires', flags.expires);
  return withClient(terminal, flags, async ({ admin }) => {
    const { id, token } = await admin.createToken({ principal, grants, expiresMs });
    if (flags.output === 'json')
      terminal.stdout.line(JSON.stringify({ id, token, principal, grants, expiresMs }));
    else
      terminal.stdout.line(facts([...describe(principal, grants, expiresMs), ['id', id], ['token', token]]));
  });
}

/** Lists tokens without their secrets. */
export function listTokens(flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    const tokens = await admin.listTokens();
    if (flags.output === 'json') return void terminal.stdout.line(JSON.stringify(tokens));
    const rows = tokens.map((one) => [
      one.id,
      one.principal,
      grantText(one.grants),
      timestamp(one.createdMs),
      until(one.expiresMs),
    ]);
    terminal.stdout.line(table(['ID', 'PRINCIPAL', 'GRANTS', 'CREATED', 'EXPIRES'], rows));
  });
}

/** Revokes tokens, one after the other. @throws TOKEN_NOT_FOUND at the first that does not exist */
export function revokeTokens(ids: readonly string[], flags: AdminFlags, terminal: Terminal): Promise<void> {
  return withClient(terminal, flags, async ({ admin }) => {
    for (const id of ids) await admin.revokeToken(id);
    terminal.stdout.line(
      flags.output === 'json' ? JSON.stringify({ revoked: ids }) : `revoked ${ids.join(', ')}`,
    );
  });
}

/** `sensors*:publish,subscribe`; the pattern is everything before the last colon. */
function parseGrant(text: string): Grant {
  const at = text.lastIndexOf(':');
  const named = text.slice(at + 1).split(',');
  const operations = OPERATIONS.filter((operation) => named.includes(operation));
  if (at < 1 || operations.length !== new Set(named).size) {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `--grant '${text}' is not TOPICS:RIGHTS. Write for instance 'sensors*:publish,subscribe'.`,
    );
  }
  return { topics: text.slice(0, at), operations };
}

function describe(principal: string, grants: readonly Grant[], expiresMs: number): [string, string][] {
  return [
    ['principal', principal],
    ['grants', grantText(grants)],
    ['expires', until(expiresMs)],
  ];
}

function grantText(grants: readonly Grant[]): string {
  return grants.map(({ topics, operations }) => `${topics}:${operations.join(',')}`).join(' ');
}

function until(expiresMs: number): string {
  return expiresMs === 0 ? 'never' : timestamp(expiresMs);
}
