import { randomBytes } from 'node:crypto';

export type PayloadKind = 'random' | 'json';

/** Bytes at the start of each value that hold the time of its publishing. */
export const STAMP_BYTES = 8;

/** Nanoseconds of the machine's monotonic clock: comparable between processes of one machine. */
export function stamp(value: Buffer): void {
  value.writeBigUInt64LE(process.hrtime.bigint());
}

/** Milliseconds since {@link stamp}. */
export function ageMs(value: Uint8Array): number {
  const at = Buffer.from(value.buffer, value.byteOffset, STAMP_BYTES).readBigUInt64LE();
  return Number(process.hrtime.bigint() - at) / 1e6;
}

/** A run of values to publish in turn: `random` does not compress; `json` is what a fleet of sensors reports. */
export function payloads(kind: PayloadKind, bytes: number): readonly Buffer[] {
  return Array.from({ length: 64 }, (_, index) =>
    kind === 'random' ? randomBytes(bytes) : telemetry(index, bytes),
  );
}

function telemetry(index: number, bytes: number): Buffer {
  const readings: object[] = [];
  const report = (): string =>
    JSON.stringify({
      stamp: '00000000',
      device: `sensor-${1000 + index}`,
      site: 'plant-7',
      firmware: '4.12.1',
      readings,
    });
  for (let n = 0; Buffer.byteLength(report()) < bytes; n += 1) {
    readings.push({
      channel: `temperature/${n}`,
      unit: 'celsius',
      value: Math.round(2000 + 500 * Math.random()) / 100,
      quality: Math.random() > 0.1 ? 'good' : 'suspect',
      timestampMs: 1_700_000_000_000 + Math.floor(Math.random() * 1e9),
    });
  }
  return Buffer.from(report());
}
