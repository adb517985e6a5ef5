/** After all tests: ends the Docker engine if these tests have started it. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Called by vitest once everything has run. */
export function teardown(): void {
  execFileSync('bash', [fileURLToPath(new URL('docker/engine-down.sh', import.meta.url))]);
}
