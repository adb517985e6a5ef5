import type { LoadedConfig } from './load.ts';
import type { SettingEntry } from './setting-list.ts';
import { SETTINGS } from './setting-list.ts';

/** One line of `sluice config show`. */
export interface ConfigRow {
  readonly path: string;
  /** As it was written; `(secret)` for a secret that is set. */
  readonly value: string;
  readonly origin: string;
}

/** Every setting with its value and where that comes from; secrets are not shown. */
export function renderConfig(config: LoadedConfig): ConfigRow[] {
  return config.values.map(({ entry, written, origin }) => ({
    path: entry.path,
    value: entry.secret === true && origin !== 'default' ? '(secret)' : asWritten(written),
    origin: origin === 'environment' ? entry.env : origin,
  }));
}

/** The text of `docs/configuration.md`, generated from the schema. */
export function configReference(): string {
  const sections = Map.groupBy(SETTINGS, (entry) => (entry.keys.length > 1 ? entry.keys[0]! : 'general'));
  return [
    '# Configuration',
    '',
    'Generated from the schema in `src/config/schema`.',
    '',
    'A setting comes from, in rising order: its default, the file named by `--config` or `SLUICE_CONFIG` (YAML or JSON, keys',
    'nested at the dots), its environment variable, its command-line option. Durations and sizes are written with their unit.',
    'An unknown key or environment variable is an error, and all faults are reported at once. `sluice config show` prints',
    'every setting with its value and where that comes from.',
    '',
    ...[...sections].flatMap(([name, entries]) => [`## ${name}`, '', ...entries.flatMap(referenceEntry)]),
  ].join('\n');
}

function referenceEntry(entry: SettingEntry): string[] {
  const option = entry.flag === undefined ? '' : `, option \`--${entry.flag}\``;
  return [
    `### \`${entry.path}\``,
    '',
    entry.description,
    '',
    `* Default: \`${asWritten(entry.default)}\``,
    `* Accepts: ${entry.expects}`,
    `* Environment: \`${entry.env}\`${option}${entry.secret === true ? '; never shown' : ''}`,
    '',
  ];
}

function asWritten(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
