import { describe, expect, it } from 'vitest';
import { AccessControl } from '../../src/broker/access-control.ts';
import type { Authorizer } from '../../src/broker/ports.ts';
import { ALICE } from './fixture.ts';

/** Allows publishing to `open` and nothing else, and keeps what it is told. */
function control(): { access: AccessControl; told: unknown[] } {
  const told: unknown[] = [];
  const authorizer: Authorizer = {
    allows: (_principal, operation, topic) => operation === 'publish' && topic === 'open',
    denied: (principal, operation, topic) => told.push([principal.name, operation, topic]),
  };
  return { access: new AccessControl(authorizer), told };
}

const forbidden = expect.objectContaining({ code: 'FORBIDDEN' }) as Error;

describe('access control', () => {
  it('tells what it denies', () => {
    const { access, told } = control();
    expect(() => access.check(ALICE, 'subscribe', 'open')).toThrow(forbidden);
    expect(() => access.check(ALICE, 'admin', undefined)).toThrow(forbidden);
    expect(() => access.checkMaySee(ALICE, 'closed')).toThrow(forbidden);
    expect(told).toEqual([
      ['alice', 'subscribe', 'open'],
      ['alice', 'admin', undefined],
      ['alice', 'see', 'closed'],
    ]);
  });

  it('tells nothing of what it allows, or of what is only left out', () => {
    const { access, told } = control();
    access.check(ALICE, 'publish', 'open');
    access.checkMaySee(ALICE, 'open');
    access.allows(ALICE, 'subscribe', 'open');
    access.maySee(ALICE, 'closed');
    expect(told).toEqual([]);
  });
});
