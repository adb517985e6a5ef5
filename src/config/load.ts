import { readFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { SluiceError } from '../kernel/errors.ts';
import type { ConfigFault } from './config-fault.ts';
import { crossFaults } from './rules.ts';
import { configSchema } from './schema/schema.ts';
import type { SettingEntry } from './setting-list.ts';
import { keysOfSection, SETTINGS } from './setting-list.ts';
import type { Settings } from './settings.ts';
import { toSettings } from './settings.ts';

/** Where a value comes from: each wins over those before it. */
export type ConfigOrigin = 'default' | 'file' | 'environment' | 'flag';

/** One setting as it was decided. */
export interface ConfigValue {
  readonly entry: SettingEntry;
  /** As it was written. */
  readonly written: unknown;
  readonly origin: ConfigOrigin;
}

/** What the configuration is made of. */
export interface ConfigSources {
  /** A YAML or JSON file; undefined: none. */
  readonly file: { readonly name: string; readonly text: string } | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By path of the setting, for example `{ 'quic.listen': '0.0.0.0:7450' }`. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** The configuration with its history. */
export interface LoadedConfig {
  readonly settings: Settings;
  readonly values: readonly ConfigValue[];
}

/** Variables with our prefix that are no settings: the file's name, and what the client commands read. */
const OTHER_VARIABLES = new Set([
  'SLUICE_CONFIG',
  'SLUICE_SERVER',
  'SLUICE_CA',
  'SLUICE_TOKEN',
  'SLUICE_CERT',
  'SLUICE_KEY',
]);
/** What Kubernetes and Docker set for a service called sluice, or sluice-something. */
const SERVICE_VARIABLES = /^SLUICE_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP)(_.*)?)?)$/;

/**
 * Reads the file, if one is named, and decides every setting.
 * @param path the configuration file; undefined: none
 * @throws INVALID_CONFIG when the file cannot be read, or as {@link loadConfig}
 */
export async function loadConfigFile(
  path: string | undefined,
  env: ConfigSources['env'],
  flags: ConfigSources['flags'],
): Promise<LoadedConfig> {
  if (path === undefined) return loadConfig({ file: undefined, env, flags });
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new SluiceError('INVALID_CONFIG', `the configuration file ${path} cannot be read`, {
      cause: error,
    });
  });
  return loadConfig({ file: { name: path, text }, env, flags });
}

/**
 * Decides every setting: defaults < file < environment < flags.
 * @throws INVALID_CONFIG with every fault in the message, and as `cause` an array of {@link ConfigFault}
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const tree = parseFile(sources.file);
  const values = SETTINGS.map((entry) => decide(entry, tree, sources));
  const faults: ConfigFault[] = [...unknownVariables(sources.env), ...unknownFlags(sources.flags)];
  for (const { entry, written } of values) place(tree, entry.keys, written);
  const parsed = configSchema.safeParse(tree);
  if (!parsed.success) faults.push(...parsed.error.issues.flatMap((issue) => faultOf(issue, values)));
  else faults.push(...crossFaults(parsed.data));
  if (faults.length > 0 || !parsed.success) throw invalid(faults);
  return { settings: toSettings(parsed.data), values };
}

type Tree = Record<string, unknown>;

function parseFile(file: ConfigSources['file']): Tree {
  if (!file) return {};
  let content: unknown;
  try {
    content = parseYaml(file.text, { maxAliasCount: 20, logLevel: 'error' }) as unknown;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw invalid([{ path: file.name, message: text.trim() }]);
  }
  if (content === null || content === undefined) return {};
  if (!isTree(content))
    throw invalid([{ path: file.name, message: 'expected a mapping of settings at the top' }]);
  return content;
}

function decide(entry: SettingEntry, tree: Tree, { env, flags }: ConfigSources): ConfigValue {
  if (flags[entry.path] !== undefined) return { entry, written: flags[entry.path], origin: 'flag' };
  const variable = env[entry.env];
  if (variable !== undefined) return { entry, written: variable, origin: 'environment' };
  const inFile = lookUp(tree, entry.keys);
  if (inFile !== undefined) return { entry, written: inFile, origin: 'file' };
  return { entry, written: entry.default, origin: 'default' };
}

function lookUp(tree: Tree, keys: readonly string[]): unknown {
  let at: unknown = tree;
  for (const key of keys) at = isTree(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return at;
}

/** Puts a value where the schema looks for it. A section that is no mapping is left for the schema to refuse. */
function place(tree: Tree, keys: readonly string[], value: unknown): void {
  let at = tree;
  for (const key of keys.slice(0, -1)) {
    at[key] ??= {}; // also a section whose keys are all commented out
    const next = at[key];
    if (!isTree(next)) return;
    at = next;
  }
  at[keys.at(-1)!] = value;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function* unknownVariables(env: ConfigSources['env']): Generator<ConfigFault> {
  const known = new Set(SETTINGS.map((entry) => entry.env));
  for (const name of Object.keys(env)) {
    if (!name.startsWith('SLUICE_') || known.has(name)) continue;
    if (OTHER_VARIABLES.has(name) || SERVICE_VARIABLES.test(name)) continue;
    yield { path: name, message: 'no setting has this environment variable: see docs/configuration.md' };
  }
}

function* unknownFlags(flags: ConfigSources['flags']): Generator<ConfigFault> {
  for (const path of Object.keys(flags)) {
    if (!SETTINGS.some((entry) => entry.path === path)) yield { path, message: 'no such setting' };
  }
}

function faultOf(issue: z.core.$ZodIssue, values: readonly ConfigValue[]): ConfigFault[] {
  const path = pathText(issue.path);
  const value = values.find(({ entry }) => entry.keys.every((key, index) => issue.path[index] === key));
  if (issue.code === 'unrecognized_keys') {
    const allowed = keysOfSection(issue.path)?.join(', ');
    const message = allowed === undefined ? 'unknown key' : `unknown key; allowed here: ${allowed}`;
    return issue.keys.map((key) => ({ path: pathText([...issue.path, key]), message }));
  }
  if (!value) return [{ path, message: issue.message }];
  const { entry, written, origin } = value;
  const source = { default: 'the default', file: 'the file', environment: entry.env, flag: 'a flag' }[origin];
  const shown = entry.secret === true ? '' : `, got ${shorten(written)}`;
  return [{ path, message: `${issue.message}${shown} from ${source}` }];
}

function shorten(written: unknown): string {
  return (typeof written === 'string' ? `"${written}"` : JSON.stringify(written)).slice(0, 100);
}

/** `acl.rules[0].topic` */
function pathText(keys: readonly PropertyKey[]): string {
  return keys.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

function invalid(faults: readonly ConfigFault[]): SluiceError {
  const lines = faults.map(({ path, message }) => `  ${path}: ${message}`);
  const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`;
  return new SluiceError('INVALID_CONFIG', `the configuration has ${count}:\n${lines.join('\n')}`, {
    cause: faults,
  });
}
