import { resolve } from 'node:path';
import { loadConfigFile } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Terminal } from './terminal.ts';

/** Options of `sluice serve` and `sluice config show` that are settings. */
export interface SettingFlags {
  readonly config?: string;
  readonly data?: string;
  readonly quic?: string;
  readonly http?: string;
  readonly grpc?: string;
  readonly tlsListen?: string;
  readonly allowAnonymous?: true;
  readonly nodeId?: string;
  readonly logLevel?: string;
}

/** The setting that each option stands for. */
const SETTING_OF = {
  data: 'dataDir',
  quic: 'quic.listen',
  http: 'http.listen',
  grpc: 'grpc.listen',
  tlsListen: 'tls.listen',
  allowAnonymous: 'auth.allowAnonymous',
  nodeId: 'node.id',
  logLevel: 'log.level',
} as const satisfies Partial<Record<keyof SettingFlags, string>>;

/** Decides every setting: defaults < file (`--config`, `SLUICE_CONFIG`) < environment < options. @throws INVALID_CONFIG with all faults */
export function loadSettings(flags: SettingFlags, terminal: Terminal): Promise<LoadedConfig> {
  const file = flags.config ?? terminal.env['SLUICE_CONFIG'];
  const written: Record<string, unknown> = {};
  for (const [option, path] of Object.entries(SETTING_OF)) {
    const value = flags[option as keyof typeof SETTING_OF];
    if (value !== undefined) written[path] = value;
  }
  return loadConfigFile(
    file === undefined ? undefined : resolve(terminal.folder, file),
    terminal.env,
    written,
  );
}
