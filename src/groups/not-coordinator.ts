import { SluiceError } from '../kernel/errors.ts';

/**
 * This node coordinates no more what somebody asks for: whoever asks again finds the one who does.
 * @param code UNAVAILABLE where it may have been done all the same, and asking again would say otherwise
 */
export function notCoordinator(code: 'NOT_LEADER' | 'UNAVAILABLE' = 'NOT_LEADER'): SluiceError {
  return new SluiceError(code, 'this node does not coordinate it any more: ask again');
}
