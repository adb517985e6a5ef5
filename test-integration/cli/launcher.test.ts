import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { REPOSITORY } from './sluice.ts';

const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as { version: string };
const SYSTEM_NODE =
  ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path)) ?? process.execPath;

describe('bin/sluice.js', () => {
  it('runs whatever Node the machine has', () => {
    const run = spawnSync(SYSTEM_NODE, [join(REPOSITORY, 'bin/sluice.js'), '--version'], {
      encoding: 'utf8',
    });
    expect(run).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('passes the exit code on', () => {
    expect(spawnSync(SYSTEM_NODE, [join(REPOSITORY, 'bin/sluice.js'), 'frobnicate']).status).toBe(2);
  });

  it('works from another folder', () => {
    const run = spawnSync(SYSTEM_NODE, [join(REPOSITORY, 'bin/sluice.js'), '--version'], {
      encoding: 'utf8',
      cwd: '/',
    });
    expect(run.stdout).toBe(`${version}\n`);
  });

  it('is what npx finds in a clone', () => {
    const run = spawnSync('npx', ['sluice', '--version'], { encoding: 'utf8', cwd: REPOSITORY });
    expect(run).toMatchObject({ status: 0, stdout: `${version}\n` });
  });
});
