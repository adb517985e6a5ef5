import type { NewToken, TokenDescription } from '../../../broker/ports.ts';
import type { Grant } from '../../../gen/sluice/client/v1/administration_pb.ts';
import { SluiceError } from '../../../kernel/errors.ts';
import { numberFromWire, numberToWire } from '../../../wire/offset.ts';
import type { RequestHandlers } from './handler.ts';

type TokenGrant = NewToken['grants'][number];
type Operation = TokenGrant['operations'][number];

const OPERATIONS: ReadonlySet<string> = new Set<Operation>(['publish', 'subscribe', 'admin']);

/** Requests about tokens. */
export const tokenHandlers: RequestHandlers<'createToken' | 'listTokens' | 'revokeToken'> = {
  async createToken(session, { principal, grants, expiresMs }) {
    const { broker, security } = session.context;
    const by = session.requirePrincipal();
    const created = await broker.createToken(by, {
      principal,
      grants: grants.map(grantFromWire),
      expiresMs: numberFromWire('expires_ms', expiresMs),
    });
    security.note({ kind: 'token_created', id: created.id, name: principal, by });
    return created;
  },
  listTokens(session) {
    return { tokens: session.context.broker.listTokens(session.requireIdentity()).map(tokenToWire) };
  },
  async revokeToken(session, { id }) {
    const { broker, security } = session.context;
    const by = session.requirePrincipal();
    const name = broker.listTokens(by).find((token) => token.id === id)?.principal ?? '';
    await broker.revokeToken(by, id);
    security.note({ kind: 'token_deleted', id, name, by });
    return {};
  },
};

function grantFromWire({ topics, operations }: Grant): TokenGrant {
  const unknown = operations.find((operation) => !OPERATIONS.has(operation));
  if (unknown !== undefined) {
    throw new SluiceError('INVALID_ARGUMENT', 'operations are publish, subscribe and admin');
  }
  return { topics, operations: operations as Operation[] };
}

function tokenToWire(token: TokenDescription) {
  return {
    id: token.id,
    principal: token.principal,
    grants: token.grants.map(({ topics, operations }) => ({ topics, operations: [...operations] })),
    createdMs: numberToWire(token.createdMs),
    expiresMs: numberToWire(token.expiresMs),
  };
}
