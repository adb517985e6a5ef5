import { parseDuration, parseSize } from '../config/units.ts';
import { SluiceError } from '../kernel/errors.ts';

/** Milliseconds of a duration option; `0` needs no unit. @throws INVALID_ARGUMENT for what is none, naming `option` */
export function durationOption(option: string, text: string): number {
  const ms = text === '0' ? 0 : parseDuration(text);
  if (ms === undefined) throw notA('duration', option, text, '10s, 15m, 1h or 7d');
  return ms;
}

/** Bytes of a size option; a whole number without unit is bytes. @throws INVALID_ARGUMENT for what is none, naming `option` */
export function sizeOption(option: string, text: string): number {
  const size = parseSize(/^\d+$/.test(text) ? `${text}B` : text);
  if (size === undefined) throw notA('size', option, text, '512KiB, 64MiB or 1GiB');
  return size;
}

function notA(what: string, option: string, text: string, examples: string): SluiceError {
  return new SluiceError(
    'INVALID_ARGUMENT',
    `${option} '${text}' is no ${what}. Write for instance ${examples}.`,
  );
}
