import { describe, expect, it } from 'vitest';
import type { AccessPolicy, AclRule } from '../../src/security/acl.ts';
import { isAllowed } from '../../src/security/acl.ts';
import type { Principal } from '../../src/security/principal.ts';
import { ANONYMOUS } from '../../src/security/principal.ts';

const alice: Principal = { name: 'alice', kind: 'certificate', admin: false, rights: [] };

function policy(...rules: AclRule[]): AccessPolicy {
  return { authentication: 'required', rules };
}

describe('access control', () => {
  it('lets anonymous do everything while authentication is off', () => {
    expect(isAllowed({ authentication: 'none', rules: [] }, ANONYMOUS, 'admin', undefined)).toBe(true);
  });

  it('denies what no rule grants', () => {
    expect(isAllowed(policy(), alice, 'publish', 'orders')).toBe(false);
  });

  it('denies anonymous even what a rule for everybody grants', () => {
    const rule: AclRule = { principal: '*', topic: '*', operations: ['publish'] };
    expect(isAllowed(policy(rule), ANONYMOUS, 'publish', 'orders')).toBe(false);
  });

  it('grants the operations of a rule on its topics only', () => {
    const rules = policy({ principal: 'al*', topic: 'orders.*', operations: ['publish'] });
    const asked = [
      isAllowed(rules, alice, 'publish', 'orders.eu'),
      isAllowed(rules, alice, 'subscribe', 'orders.eu'),
      isAllowed(rules, alice, 'publish', 'invoices'),
      isAllowed(rules, { ...alice, name: 'bob' }, 'publish', 'orders.eu'),
    ];
    expect(asked).toEqual([true, false, false, false]);
  });

  it('grants what the credential itself carries', () => {
    const token: Principal = {
      name: 't',
      kind: 'token',
      admin: false,
      rights: [{ topic: 'a', operations: ['subscribe'] }],
    };
    expect([
      isAllowed(policy(), token, 'subscribe', 'a'),
      isAllowed(policy(), token, 'publish', 'a'),
    ]).toEqual([true, false]);
  });

  it('lets an administrator do everything', () => {
    expect(isAllowed(policy(), { ...alice, admin: true }, 'admin', undefined)).toBe(true);
  });

  it('needs admin on every topic for what concerns the whole node', () => {
    const some = policy({ principal: 'alice', topic: 'orders', operations: ['admin'] });
    const all = policy({ principal: 'alice', topic: '*', operations: ['admin'] });
    expect([isAllowed(some, alice, 'admin', undefined), isAllowed(all, alice, 'admin', undefined)]).toEqual([
      false,
      true,
    ]);
  });

  it('opens internal topics only to patterns that name them', () => {
    const all = policy({ principal: 'alice', topic: '*', operations: ['subscribe'] });
    const internal = policy({ principal: 'alice', topic: '__*', operations: ['subscribe'] });
    const asked = [
      isAllowed(all, alice, 'subscribe', '__groups'),
      isAllowed(internal, alice, 'subscribe', '__groups'),
    ];
    expect(asked).toEqual([false, true]);
  });
});
