/** Ends a watch; idempotent. */
export type Unwatch = () => void;
