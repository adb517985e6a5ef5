import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AccessPolicy } from '../../src/security/acl.ts';
import { isAllowed } from '../../src/security/acl.ts';
import type { Operation, Principal, Right } from '../../src/security/principal.ts';
import { OPERATIONS } from '../../src/security/principal.ts';
import { modelMatches } from './glob-model.ts';

/** Every way in which something is allowed; whatever is not in the list is denied. */
function modelAllows(
  policy: AccessPolicy,
  principal: Principal,
  operation: Operation,
  topic: string | undefined,
): boolean {
  const everything = policy.authentication === 'none' || principal.admin;
  const rights: Right[] = [];
  if (principal.kind !== 'anonymous') {
    rights.push(...principal.rights);
    rights.push(...policy.rules.filter((rule) => modelMatches(rule.principal, principal.name)));
  }
  const granting = rights.filter((right) => {
    if (!right.operations.includes(operation)) return false;
    if (topic === undefined) return right.topic === '*';
    if (topic.startsWith('__')) return right.topic.startsWith('__') && modelMatches(right.topic, topic);
    return modelMatches(right.topic, topic);
  });
  return everything || granting.length > 0;
}

const NAMES = ['a', 'b', 'aa', 'ab', '__a', '__', 'a.b', ''] as const;
const PATTERNS = ['*', 'a', 'a*', '*b', '__*', '__a', '_*', '**', 'a.*', ''] as const;

const operations = fc.subarray([...OPERATIONS], { minLength: 1 });
const right = fc.record({ topic: fc.constantFrom(...PATTERNS), operations });
const rule = fc.record({
  principal: fc.constantFrom(...PATTERNS),
  topic: fc.constantFrom(...PATTERNS),
  operations,
});
const principal = fc.record({
  name: fc.constantFrom(...NAMES),
  kind: fc.constantFrom('anonymous' as const, 'certificate' as const, 'token' as const),
  admin: fc.boolean(),
  rights: fc.array(right, { maxLength: 3 }),
});
const policy = fc.record({
  authentication: fc.constantFrom('required' as const, 'required' as const, 'none' as const),
  rules: fc.array(rule, { maxLength: 4 }),
});

describe('access decision', () => {
  it('is the one that the list of grants gives', () => {
    const topic = fc.option(fc.constantFrom(...NAMES), { nil: undefined });
    fc.assert(
      fc.property(policy, principal, fc.constantFrom(...OPERATIONS), topic, (rules, who, operation, name) => {
        expect(isAllowed(rules, who, operation, name)).toBe(modelAllows(rules, who, operation, name));
      }),
      { numRuns: 5_000 },
    );
  });

  it('never takes a right away when another is granted', () => {
    fc.assert(
      fc.property(policy, rule, principal, fc.constantFrom(...NAMES), (rules, more, who, name) => {
        const wider = { ...rules, rules: [...rules.rules, more] };
        for (const operation of OPERATIONS) {
          if (isAllowed(rules, who, operation, name))
            expect(isAllowed(wider, who, operation, name)).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
