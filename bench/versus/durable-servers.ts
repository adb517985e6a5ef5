import { execFileSync } from 'node:child_process';
import { findTool, requireTools } from '../../test-integration/support/system-tools.ts';

/** Has servers installed that store, without anything of theirs running. */
export function requireDurableServers(
  programs: readonly ('nats-server' | 'redis-server' | 'rabbitmq-server')[],
): void {
  const wasThere = findTool('rabbitmq-server') !== undefined;
  requireTools(programs);
  if (wasThere || !programs.includes('rabbitmq-server')) return;
  // Debian starts what it installs, with a port mapper of its own.
  for (const [program, ...rest] of [
    ['service', 'rabbitmq-server', 'stop'],
    ['epmd', '-kill'],
  ] as const) {
    try {
      execFileSync(program, rest, { stdio: 'ignore', timeout: 60_000 });
    } catch {
      // It was not started.
    }
  }
}
