#!/usr/bin/env node
// Starts the `sluice` command. Plain JavaScript that old Node versions understand: Sluice needs Node 24, and where the machine's
// own is older, this file runs itself again with the Node of the `node` npm package.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED_MAJOR = 24;
const here = dirname(fileURLToPath(import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= NEEDED_MAJOR) {
  module.enableCompileCache?.();
  const source = join(here, '../src/cli/main.ts');
  await import(existsSync(source) ? source : join(here, '../dist/cli/main.js'));
} else {
  const node = findNode(dirname(here));
  if (node === undefined) {
    console.error(
      `sluice: UNSUPPORTED: this is Node ${process.versions.node}, Sluice needs ${NEEDED_MAJOR}. ` +
        `Install Node ${NEEDED_MAJOR}, or run: npm install node@${NEEDED_MAJOR}`,
    );
    process.exit(1);
  }
  runWith(node);
}

/** Path of the `node` package's program, in `node_modules` of `folder` or a folder above it. */
function findNode(folder) {
  const candidate = join(folder, 'node_modules/node/bin/node');
  if (existsSync(candidate)) return candidate;
  return dirname(folder) === folder ? undefined : findNode(dirname(folder));
}

/** Runs this file again with `node`; signals go down to it, its exit code or signal comes back. */
function runWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'];
  // A Ctrl-C reaches the child from the terminal as well; it takes signals that come together for one.
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`sluice: INTERNAL: ${node} did not start: ${error.message}. Run: npm ci`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal]);
  });
}
