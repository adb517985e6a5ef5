import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { median, short } from './statistics.ts';

/** One measured quantity: all samples, and what they come to. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly samples: readonly number[];
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A row of samples of one quantity. */
export function row(name: string, unit: string, samples: readonly number[]): Row {
  return {
    name,
    unit,
    samples,
    median: median(samples),
    min: Math.min(...samples),
    max: Math.max(...samples),
  };
}

/** Rows of every number of a kind of sample. */
export function rowsOf<Sample extends object>(
  name: string,
  samples: readonly Sample[],
  units: Readonly<Partial<Record<keyof Sample, string>>>,
): Row[] {
  return (Object.keys(units) as (keyof Sample & string)[]).map((field) =>
    row(
      `${name} ${field}`,
      units[field]!,
      samples.map((sample) => Number(sample[field])),
    ),
  );
}

/** `name  median (min–max) unit` for people. */
export function printRow({ name, unit, median: middle, min, max }: Row): void {
  console.log(`${name.padEnd(72)} ${short(middle).padStart(8)} ${unit} (${short(min)}–${short(max)})`);
}

/** Writes a run's results with what they were measured on. @returns the file */
export function writeResults(kind: string, results: object): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const date = new Date().toISOString();
  const folder = new URL('../results/', import.meta.url).pathname;
  mkdirSync(folder, { recursive: true });
  const file = `${folder}${kind}-${date.slice(0, 10)}-${commit}.json`;
  const machine = { cores: cpus().length, cpu: cpus()[0]?.model, node: process.version };
  writeFileSync(file, `${JSON.stringify({ kind, date, commit, ...machine, ...results }, null, 1)}\n`);
  return file;
}
