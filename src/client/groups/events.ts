import type { SluiceError } from '../../kernel/errors.ts';
import type { GapEvent } from '../subscription/delivery-buffer.ts';
import type { Position } from '../subscription/subscribe-options.ts';

/** Partitions that a member has lost. */
export interface RevokedEvent {
  /** Where another member begins, unless something is committed now. */
  readonly partitions: readonly Position[];
  /**
   * The member was taken for gone: others have them already, and nothing can be committed. Else what a listener commits is waited for
   * before they go.
   */
  readonly lost: boolean;
}

/** Events of a member of a consumer group. */
export interface GroupEvents {
  /** These are read from now on, from these offsets. */
  assigned: { readonly partitions: readonly Position[] };
  revoked: RevokedEvent;
  /** Retention took records before they were read; emitted when the application comes there. */
  gap: GapEvent;
  /** A commit of `commit: 'auto'` was refused; it is tried again while the partition is this member's. */
  'commit-failed': { readonly error: SluiceError };
}
