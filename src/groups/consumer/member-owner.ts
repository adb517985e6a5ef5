import { quoted } from '../../catalog/topic-name.ts';
import { SluiceError } from '../../kernel/errors.ts';
import type { GroupAsker } from '../api.ts';
import type { Member } from './member.ts';

/**
 * A member is its principal's, who has joined as it: nobody else can stay, commit, leave or come back in its name. One that was stored before its
 * principal was is that of whoever asks first.
 *
 * @throws FORBIDDEN when it is somebody else's
 */
export function checkOwner(
  { id, instanceId, principal: owner }: Member,
  { principal }: Pick<GroupAsker, 'principal'>,
): void {
  if (owner === '' || owner === principal) return;
  const instance = instanceId === '' ? '' : `, instance ${quoted(instanceId)},`;
  throw new SluiceError(
    'FORBIDDEN',
    `the member ${quoted(id)}${instance} is not ${quoted(principal)}’s: it belongs to the principal that joined as it`,
  );
}
