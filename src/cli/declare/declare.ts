import type { Command } from 'commander';
import type { Terminal } from '../terminal.ts';

/** Adds one group of commands. `run` calls a command's function: what it gives back is an exit code, or anything else for 0. */
export type Declare = (
  program: Command,
  run: (command: () => Promise<unknown>) => Promise<void>,
  terminal: Terminal,
) => void;
