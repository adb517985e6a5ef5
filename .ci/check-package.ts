/**
 * Packs the package as `npm publish` would and lets publint and attw judge it.
 *
 *     node .ci/check-package.ts [FOLDER]     leaves it in an empty FOLDER
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [kept] = process.argv.slice(2);
const folder = kept ?? mkdtempSync(join(tmpdir(), 'sluice-pack-'));
const steps: readonly (readonly string[])[] = [
  ['npm', 'run', '--silent', 'build'],
  ['npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', folder],
];
function run(command: readonly string[]): boolean {
  const done = spawnSync(command[0]!, command.slice(1), { stdio: 'inherit' });
  if (done.status !== 0) console.error(`failed: ${command.join(' ')}`);
  return done.status === 0;
}
let good = steps.every(run);
if (good) {
  const tarball = join(folder, readdirSync(folder)[0]!);
  good = run(['publint', '--strict', tarball]) && run(['attw', '--profile', 'esm-only', tarball]);
}
if (kept === undefined) rmSync(folder, { recursive: true, force: true });
process.exit(good ? 0 : 1);
