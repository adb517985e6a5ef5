import { corrupt, safeDouble } from './stored-runs.ts';

/** A column of a stored table: one number for each row, and no element at all where all are zero. */
export function columnToWire<T extends number>(values: T[]): T[] {
  return values.some((value) => value !== 0) ? values : [];
}

/** Checks that a column fits a table of `rows`. @throws CORRUPT_LOG */
export function checkColumn(column: readonly number[], rows: number): void {
  if (column.length !== 0 && column.length !== rows)
    throw corrupt('a table with columns of different lengths');
  for (const value of column) safeDouble(value);
}

/** When a record expires, as a number that is 0 for never. */
export function expiryToWire(expiresAtMs: number | undefined): number {
  return expiresAtMs === undefined || expiresAtMs === Infinity ? 0 : expiresAtMs;
}
