/** After all tests: ends the Docker engine if these tests have started it, and not another run that may still use it. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Process of vitest whose tests have started the engine. */
const OWNER = '/run/sluice-docker/owner';

/** This test has started the engine: it ends with the run that this test belongs to. */
export function noteOwner(): void {
  writeFileSync(OWNER, String(process.ppid));
}

/** Called by vitest once everything has run. */
export function teardown(): void {
  if (ownerOf() !== process.pid) return;
  execFileSync('bash', [fileURLToPath(new URL('docker/engine-down.sh', import.meta.url))]);
}

function ownerOf(): number | undefined {
  try {
    return Number(readFileSync(OWNER, 'utf8'));
  } catch {
    return undefined;
  }
}
