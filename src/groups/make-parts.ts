import { SluiceError } from '../kernel/errors.ts';
import type { GroupParts } from './coordinator.ts';
import type { GroupPart } from './group-part.ts';

/** Consumer groups and queues of one coordinator. */
export function makeGroupParts(): GroupParts {
  return { groups: new NotOffered(), queues: new NotOffered() };
}

class NotOffered implements GroupPart {
  load(): void {
    // Nothing is kept.
  }
  start(): void {
    // Nothing to do.
  }
  ask(): Promise<never> {
    return Promise.reject(new SluiceError('UNSUPPORTED', 'it is not offered yet'));
  }
  close(): void {
    // Nothing to do.
  }
  counts(): Record<string, number> {
    return {};
  }
}
