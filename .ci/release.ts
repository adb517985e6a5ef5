/**
 * Makes and publishes a release.
 *
 *     npm run release -- minor --image REGISTRY/sluice     version, changelog, checks, package, image, tag; then publishes all of it
 *     npm run release -- 1.2.3-rc.1 --image …              a version by its name; a trial moves neither `latest` nor tags of the image
 *     npm run release -- minor --dry-run                   everything but what others would see
 *
 * Works in a clone: the work tree stays as it is. `--branch NAME` for another branch than main.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Shell } from './release/release.ts';
import { release } from './release/release.ts';

const { values, positionals } = readArguments();
const [wanted, ...others] = positionals;
const isDryRun = values['dry-run'];
const image = values.image ?? (isDryRun ? 'sluice' : undefined);
if (wanted === undefined || others.length > 0 || image === undefined) {
  sayUsage();
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        image: { type: 'string' },
        branch: { type: 'string', default: 'main' },
        'dry-run': { type: 'boolean', default: false },
      },
    });
  } catch {
    return sayUsage();
  }
}

function sayUsage(): never {
  console.error(
    'usage: npm run release -- major|minor|patch|VERSION --image NAME [--branch NAME] [--dry-run]',
  );
  process.exit(2);
}

function spawn(command: readonly string[], folder: string, stdout: 'inherit' | 'pipe'): string {
  console.log(`$ ${command.join(' ')}`);
  const stdio = ['ignore', stdout, 'inherit'] as const;
  const done = spawnSync(command[0]!, command.slice(1), { cwd: folder, stdio: [...stdio], encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`failed: ${command.join(' ')}`, { cause: done.error });
  return stdout === 'pipe' ? done.stdout.trimEnd() : '';
}

const shell: Shell = {
  run: (command, folder) => void spawn(command, folder, 'inherit'),
  read: (command, folder) => spawn(command, folder, 'pipe'),
};
try {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const date = new Date().toISOString().slice(0, 10);
  const branch = values.branch;
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-release-'));
  const version = release({ root, scratch, wanted, image, branch, date, isDryRun }, shell, console.log);
  console.log(isDryRun ? `${version} could be released` : `${version} is released`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
