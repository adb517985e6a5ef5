import { Glob } from './glob.ts';
import type { Operation, Principal, Right } from './principal.ts';

/** Every publish asks, and there are few rights: each is made ready once. */
const OF_TOPIC = new WeakMap<Right, Glob>();
const OF_PRINCIPAL = new WeakMap<Right, Glob>();

/** Grants operations on topics to principals. Both patterns may contain `*`, any run of characters. */
export interface AclRule extends Right {
  readonly principal: string;
}

/** What decides who may do what on this node. */
export interface AccessPolicy {
  /** `none`: everybody may do everything. `required`: only what a right grants. */
  readonly authentication: 'none' | 'required';
  readonly rules: readonly AclRule[];
}

/**
 * Whether `principal` may do `operation`. Without a right that says so the answer is no, unless authentication is off.
 *
 * Internal topics (`__…`) are matched only by patterns that start with `__` themselves, so that `*` does not open them.
 *
 * @param topic the topic's name; undefined for what concerns the whole node, which needs `admin` on `*`
 */
export function isAllowed(
  policy: AccessPolicy,
  principal: Principal,
  operation: Operation,
  topic: string | undefined,
): boolean {
  if (policy.authentication === 'none' || principal.admin) return true;
  if (principal.kind === 'anonymous') return false;
  if (principal.rights.some((right) => grants(right, operation, topic))) return true;
  return policy.rules.some(
    (rule) =>
      globOf(rule, rule.principal, OF_PRINCIPAL).matches(principal.name) && grants(rule, operation, topic),
  );
}

function grants(right: Right, operation: Operation, topic: string | undefined): boolean {
  if (!right.operations.includes(operation)) return false;
  if (topic === undefined) return right.topic === '*';
  if (topic.startsWith('__') && !right.topic.startsWith('__')) return false;
  return globOf(right, right.topic, OF_TOPIC).matches(topic);
}

/** The glob of a pattern; made when it is asked for first, for as long as there is the right that it is of. */
function globOf(right: Right, pattern: string, globs: WeakMap<Right, Glob>): Glob {
  let glob = globs.get(right);
  if (!glob) globs.set(right, (glob = new Glob(pattern)));
  return glob;
}
