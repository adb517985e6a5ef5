import { configReference, renderConfig } from '../../config/render.ts';
import { SETTINGS } from '../../config/setting-list.ts';
import type { OutputFlags } from '../declare/declare-options.ts';
import { table } from '../format.ts';
import { loadSettings } from '../settings.ts';
import type { SettingFlags } from '../settings.ts';
import type { Terminal } from '../terminal.ts';

/** Options of `sluice config show`. */
export type ConfigFlags = SettingFlags & OutputFlags;

/** Prints every setting that `serve` would run with, and where it comes from; secrets are not shown. */
export async function showConfig(flags: ConfigFlags, terminal: Terminal): Promise<void> {
  const rows = renderConfig(await loadSettings(flags, terminal));
  if (flags.output === 'json') terminal.stdout.line(JSON.stringify(rows));
  else
    terminal.stdout.line(
      table(
        ['SETTING', 'VALUE', 'FROM'],
        rows.map(({ path, value, origin }) => [path, value, origin]),
      ),
    );
}

/** Prints what every setting means: Markdown, or a JSON array. */
export function showReference(flags: OutputFlags, terminal: Terminal): Promise<void> {
  if (flags.output === 'json') {
    const entries = SETTINGS.map((entry) => ({
      path: entry.path,
      default: entry.default,
      environment: entry.env,
      option: entry.flag === undefined ? null : `--${entry.flag}`,
      accepts: entry.expects,
      description: entry.description,
    }));
    terminal.stdout.line(JSON.stringify(entries));
  } else terminal.stdout.line(configReference());
  return Promise.resolve();
}
