/** Something wrong with a setting. */
export interface ConfigFault {
  /** `limits.keepAlive`; a name of an environment variable where no setting has it. */
  readonly path: string;
  /** For people: what is wrong, and what is allowed. */
  readonly message: string;
}
