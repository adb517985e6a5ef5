import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { REPOSITORY } from './sluice.ts';

const leftovers = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith('sluice-quickstart-'));

describe('npm run quickstart', () => {
  it('proves that every subscription got every record, and cleans up', () => {
    const before = leftovers();
    const argv = ['examples/quickstart/main.ts', '--plain', '--records', '5000', '--rate', '5000'];
    const run = spawnSync(process.execPath, argv, { cwd: REPOSITORY, encoding: 'utf8', timeout: 100_000 });
    expect(run.stderr).toBe('');
    expect(run.stdout.match(/ complete( |$)/gm)).toHaveLength(4);
    expect(run.stdout).toContain('PROVED: every subscription got all 5,000 records');
    expect(run.status).toBe(0);
    expect(leftovers()).toEqual(before);
  });
});
