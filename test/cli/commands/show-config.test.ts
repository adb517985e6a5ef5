import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SETTINGS } from '../../../src/config/setting-list.ts';
import { runHere } from '../fake-terminal.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-config-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function rows(json: string): Map<string, { value: string; origin: string }> {
  const list = JSON.parse(json) as { path: string; value: string; origin: string }[];
  return new Map(list.map((row) => [row.path, row]));
}

describe('sluice config', () => {
  it('shows each setting and where it comes from', async () => {
    writeFileSync(join(folder, 's.yaml'), 'node: { id: from-file }\n');
    const argv = ['config', 'show', '--config', 's.yaml', '--quic', '127.0.0.1:9000', '-o', 'json'];
    const run = await runHere(argv, { folder, env: { SLUICE_DATA_DIR: '/data' } });
    expect(run.stderr).toBe('');
    const shown = rows(run.stdout);
    expect(shown.get('node.id')).toMatchObject({ value: 'from-file', origin: 'file' });
    expect(shown.get('quic.listen')).toMatchObject({ value: '127.0.0.1:9000', origin: 'flag' });
    expect(shown.get('dataDir')).toMatchObject({ value: '/data', origin: 'SLUICE_DATA_DIR' });
    expect(shown.get('http.listen')).toMatchObject({ value: '127.0.0.1:7451', origin: 'default' });
  });

  it.each([
    ['--data', 'd', 'dataDir'],
    ['--quic', '127.0.0.1:1', 'quic.listen'],
    ['--http', 'off', 'http.listen'],
    ['--tls-listen', 'off', 'tls.listen'],
    ['--grpc', '127.0.0.1:7453', 'grpc.listen'],
    ['--node-id', 'n', 'node.id'],
    ['--log-level', 'warn', 'log.level'],
  ])('%s %s sets %s', async (option, value, path) => {
    const run = await runHere(['config', 'show', option, value, '-o', 'json']);
    expect(rows(run.stdout).get(path)).toMatchObject({ value, origin: 'flag' });
  });

  it('accepts the variables of the other commands', async () => {
    const env = {
      SLUICE_SERVER: 'quic://a',
      SLUICE_CA: 'a',
      SLUICE_TOKEN: 't',
      SLUICE_CERT: 'c',
      SLUICE_KEY: 'k',
    };
    expect((await runHere(['config', 'show'], { env })).exitCode).toBe(0);
  });

  it('names all faults on one line, exit code 2', async () => {
    const run = await runHere(['config', 'show', '--quic', 'nowhere', '--log-level', 'loud']);
    expect(run.exitCode).toBe(2);
    expect(run.stderr).toMatch(/^sluice: INVALID_CONFIG: [^\n]*quic\.listen[^\n]*log\.level[^\n]*\n$/);
  });

  it('has an option of serve for every setting that says it has one', async () => {
    const { stdout } = await runHere(['serve', '--help']);
    for (const { flag } of SETTINGS) if (flag !== undefined) expect(stdout).toContain(`--${flag} `);
  });

  it('lists every setting in the reference', async () => {
    const run = await runHere(['config', 'reference', '-o', 'json']);
    expect((JSON.parse(run.stdout) as { path: string }[]).map(({ path }) => path)).toEqual(
      SETTINGS.map(({ path }) => path),
    );
  });
});
