import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AccessPolicy } from '../../src/security/acl.ts';
import { isAllowed } from '../../src/security/acl.ts';
import { matchesGlob } from '../../src/security/glob.ts';
import type { Operation, Principal, Right } from '../../src/security/principal.ts';
import { OPERATIONS } from '../../src/security/principal.ts';

/** What `*` means, said as plainly as can be: it takes nothing, or one character and then goes on. */
function modelMatches(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*') {
    return modelMatches(pattern.slice(1), text) || (text !== '' && modelMatches(pattern, text.slice(1)));
  }
  return pattern[0] === text[0] && modelMatches(pattern.slice(1), text.slice(1));
}

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

describe('glob', () => {
  const characters = ['a', 'b', '.', '*', '+', '\\', '[', '\n', '?', 'é', '\u{1f600}'];
  const text = fc.string({
    unit: fc.constantFrom(...characters.filter((one) => one !== '*')),
    maxLength: 10,
  });
  const pattern = fc.string({ unit: fc.constantFrom(...characters, '*', '*'), maxLength: 8 });

  it('matches as the plain definition says', () => {
    fc.assert(
      fc.property(pattern, text, (glob, name) => {
        expect(matchesGlob(glob, name)).toBe(modelMatches(glob, name));
      }),
      { numRuns: 5_000 },
    );
  });

  it('matches every text that is made from its pattern', () => {
    const parts = fc.array(text, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(parts, fc.array(text, { minLength: 4, maxLength: 4 }), (fixed, fillers) => {
        const name = fixed.map((part, index) => (index === 0 ? part : fillers[index - 1]! + part)).join('');
        expect(matchesGlob(fixed.join('*'), name)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
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
