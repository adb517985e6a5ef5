import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';

/** Options of a script that people start; whoever asks for one that it does not have is told `usage`, and the process ends with 2. */
export function scriptOptions<Options extends NonNullable<ParseArgsConfig['options']>>(
  options: Options,
  usage: string,
): ReturnType<typeof parseArgs<{ options: Options }>>['values'] {
  try {
    return parseArgs({ options }).values;
  } catch {
    return endWith(usage);
  }
}

/** Ends the process with 2, as after a command that makes no sense. */
export function endWith(text: string): never {
  console.error(text);
  process.exit(2);
}
