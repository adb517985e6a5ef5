import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { configReference, renderConfig } from '../../src/config/render.ts';
import { SETTINGS } from '../../src/config/setting-list.ts';

const ADMIN_TOKEN = 'x'.repeat(32);

describe('shown configuration', () => {
  const rows = renderConfig(
    loadConfig({
      file: { name: 'f', text: 'drain: { timeout: 5s }' },
      env: { SLUICE_AUTH_ADMIN_TOKEN: ADMIN_TOKEN },
      flags: { 'node.id': 'n' },
    }),
  );
  const row = (path: string) => rows.find((candidate) => candidate.path === path);

  it('says of every setting where it comes from', () => {
    expect([row('drain.timeout'), row('node.id'), row('dataDir')]).toEqual([
      { path: 'drain.timeout', value: '5s', origin: 'file' },
      { path: 'node.id', value: 'n', origin: 'flag' },
      { path: 'dataDir', value: './sluice-data', origin: 'default' },
    ]);
  });

  it('shows that a secret is set, but not which', () => {
    expect(row('auth.adminToken')).toEqual({
      path: 'auth.adminToken',
      value: '(secret)',
      origin: 'SLUICE_AUTH_ADMIN_TOKEN',
    });
  });
});

describe('configuration reference', () => {
  it('names every setting with its environment variable', () => {
    const text = configReference();
    const missing = SETTINGS.filter(
      ({ path, env }) => !text.includes(`\`${path}\``) || !text.includes(`\`${env}\``),
    );
    expect(missing).toEqual([]);
  });
});
