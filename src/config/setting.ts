import { z } from 'zod';

/** What is known about one setting besides its type. */
export interface SettingInfo {
  /** One sentence for the reference. */
  readonly description: string;
  /** As it would be written in the file. */
  readonly default: unknown;
  /** Command-line option of `sluice serve`, without dashes. */
  readonly flag?: string;
  /** Never shown. */
  readonly secret?: boolean;
}

/** What a setting accepts: the schema turns what was written into the value in code. */
export interface Kind<T> {
  readonly schema: z.ZodType<T>;
  /** Completes "expected …". */
  readonly expects: string;
}

/** Everything about a setting, found by its schema. */
export const settingRegistry = z.registry<SettingInfo & { readonly expects: string }>();

/** Makes a setting of a kind: the leaf of the configuration's schema. */
export function setting<T>(kind: Kind<T>, info: SettingInfo): z.ZodType<T> {
  return kind.schema.register(settingRegistry, { ...info, expects: kind.expects });
}
