/** Regenerates what is generated and fails when a committed file differs from it; leaves the work tree as it was. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const GENERATED = ['src/gen', 'docs/errors.md', 'docs/configuration.md'];

function filesUnder(path: string): string[] {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path).flatMap((name) => filesUnder(join(path, name)));
}

function snapshot(): Map<string, Buffer> {
  return new Map(GENERATED.flatMap(filesUnder).map((file) => [file, readFileSync(file)]));
}

const digest = (bytes: Buffer | undefined): string =>
  bytes === undefined ? 'absent' : createHash('sha256').update(bytes).digest('hex');

const before = snapshot();
const run = spawnSync('npm', ['run', '--silent', 'generate'], { stdio: 'inherit' });
const after = snapshot();
const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
  (file) => digest(before.get(file)) !== digest(after.get(file)),
);
for (const [file, bytes] of before) if (changed.includes(file)) writeFileSync(file, bytes);
for (const file of changed) console.error(`not what \`npm run generate\` makes: ${file}`);
console.log(`${after.size} generated files, ${changed.length} differ`);
process.exit(run.status === 0 && after.size > 3 && changed.length === 0 ? 0 : 1);
