const DURATION_UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const;

/** Milliseconds of a duration with unit (`500ms`, `10s`, `1.5h`, `7d`); undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  return parseWithUnit(text, DURATION_UNITS);
}

/** Bytes of a size with unit (`512B`, `64KiB`, `1.5MiB`, `2GiB`, `1TiB`); undefined when it is none. */
export function parseSize(text: string): number | undefined {
  return parseWithUnit(text, SIZE_UNITS);
}

/** Writes milliseconds with the largest unit that leaves a whole number. */
export function formatDuration(durationMs: number): string {
  return formatWithUnit(durationMs, DURATION_UNITS);
}

/** Writes bytes with the largest unit that leaves a whole number. */
export function formatSize(bytes: number): string {
  return formatWithUnit(bytes, SIZE_UNITS);
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]+)$/.exec(text.trim());
  const factor = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined;
  if (!match || factor === undefined) return undefined;
  const value = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

function formatWithUnit(value: number, units: Readonly<Record<string, number>>): string {
  const [first, ...larger] = Object.entries(units);
  const best = larger.findLast(([, factor]) => value !== 0 && value % factor === 0) ?? first!;
  return `${value / best[1]}${best[0]}`;
}
