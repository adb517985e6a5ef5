import { z } from 'zod';
import { configSchema } from './schema/schema.ts';
import type { SettingInfo } from './setting.ts';
import { settingRegistry } from './setting.ts';

/** One setting with the names it has everywhere. */
export interface SettingEntry extends SettingInfo {
  /** `quic.listen` */
  readonly path: string;
  readonly keys: readonly string[];
  /** `SLUICE_QUIC_LISTEN` */
  readonly env: string;
  /** What it accepts, in words. */
  readonly expects: string;
}

/** Every setting, in the order of the reference. */
export const SETTINGS: readonly SettingEntry[] = Object.freeze([...collect(configSchema, [])]);

/** The keys allowed in a section of the file; undefined when there is no such section. */
export function keysOfSection(keys: readonly PropertyKey[]): readonly string[] | undefined {
  let schema: unknown = configSchema;
  for (const key of keys) schema = schema instanceof z.ZodObject ? schema.shape[String(key)] : undefined;
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : undefined;
}

function* collect(schema: z.ZodObject, keys: readonly string[]): Generator<SettingEntry> {
  for (const [key, child] of Object.entries(schema.shape)) {
    const childKeys = [...keys, key];
    const info = settingRegistry.get(child as z.ZodType);
    if (info) yield { ...info, path: childKeys.join('.'), keys: childKeys, env: environmentName(childKeys) };
    else if (child instanceof z.ZodObject) yield* collect(child, childKeys);
  }
}

function environmentName(keys: readonly string[]): string {
  const words = keys.map((key) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return `SLUICE_${words.join('_')}`;
}
