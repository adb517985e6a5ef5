import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A record to replay. */
export interface FlightRecord {
  readonly key: string;
  readonly value: Buffer;
}

/**
 * The first `count` of 200,000 flights of the United States, as the npm package `vega-datasets` ships them.
 *
 * Each has delay (minutes), distance (miles) and time (hour of the day), but neither carrier nor airport. The key is the distance:
 * flights of one route have the same one, so it is the nearest thing to a route number. There are 1,079 of them.
 */
export function readFlights(count: number): FlightRecord[] {
  const require = createRequire(import.meta.url);
  const file = join(dirname(require.resolve('vega-datasets')), '../data/flights-200k.json');
  const flights = JSON.parse(readFileSync(file, 'utf8')) as { distance: number }[];
  return flights
    .slice(0, count)
    .map((flight) => ({ key: `miles-${flight.distance}`, value: Buffer.from(JSON.stringify(flight)) }));
}
