import { expect } from 'vitest';
import type { DiskLog, DiskLogObserver, DiskLogSettings } from '../../../src/log/disk/disk-log.ts';
import type { LogState } from '../../../src/log/log-state.ts';
import { NO_STATE } from '../../../src/log/log-state.ts';
import { stampedBatch } from '../../support/batch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeDisk } from '../../support/fake-disk.ts';
import { turns } from '../../support/turns.ts';
import { KEEP_ALL, LOG_DIRECTORY, openDiskLog } from './open-disk-log.ts';

/** A log on a fake disk, and what it tells its observer. */
export class LogStage {
  readonly clock = new FakeClock();
  readonly events: string[] = [];
  readonly settings: DiskLogSettings;
  readonly state: LogState;
  disk: FakeDisk;
  log!: DiskLog;

  private constructor(settings: Partial<DiskLogSettings>, state: LogState, disk: FakeDisk) {
    this.disk = disk;
    this.settings = { ...KEEP_ALL, ...settings };
    this.state = state;
  }

  static async open(
    settings: Partial<DiskLogSettings> = {},
    { state = NO_STATE, disk = new FakeDisk({ seed: 1 }) }: { state?: LogState; disk?: FakeDisk } = {},
  ): Promise<LogStage> {
    const stage = new LogStage(settings, state, disk);
    await stage.start();
    return stage;
  }

  /** Appends batches of one record with 1,000 bytes, and waits for the disk. */
  async fill(count: number): Promise<void> {
    this.appendSome(count);
    await turns(20);
    expect(this.log.durableEnd).toBe(this.log.logEnd);
  }

  appendSome(count: number): void {
    const { log } = this;
    for (let n = 0; n < count; n++) log.append(stampedBatch(log.logEnd, [{ value: 'x'.repeat(1000) }]));
  }

  /** Opens the log as the disk has it now. @param isIncomplete see `DiskLogOptions` */
  async start(isIncomplete = false): Promise<void> {
    const { events } = this;
    const observer: DiskLogObserver = {
      onRecovered: ({ truncatedBytes }) => events.push(`recovered, cut ${truncatedBytes}`),
      onCorrupt: (file, position) => events.push(`corrupt ${file.split('/').at(-1)!} at ${position}`),
      onFault: ({ code }) => events.push(`fault ${code}`),
      onHealed: () => events.push('healed'),
    };
    const { disk, clock, state, settings } = this;
    this.log = await openDiskLog({ disk, clock, observer, state, settings, firstOffset: 0, isIncomplete });
  }

  /** Ends the process and opens the log in another. */
  async reopen(how: 'killed' | 'powerLost' = 'killed'): Promise<void> {
    this.disk = how === 'killed' ? this.disk.kill() : this.disk.crash();
    await this.start();
  }

  /** Lets time pass until faults that are over have been got over. */
  async heal(): Promise<void> {
    for (let n = 0; n < 8; n++) {
      this.clock.advance(10_000);
      await turns(50);
    }
  }

  /** Changes one byte of a file, durably and without a call. */
  damage(name: string, position: number): void {
    const bytes = this.disk.peek(pathOf(name))!;
    bytes[position]! ^= 0xff;
    this.disk.plant(pathOf(name), bytes);
  }

  /** Names of its files of one kind, sorted. */
  names(kind: 'log' | 'index' | 'snapshot' | 'corrupt' | 'new'): string[] {
    return this.disk.names(LOG_DIRECTORY).filter((name) => name.endsWith(`.${kind}`));
  }

  remove(...names: readonly string[]): void {
    for (const name of names) this.disk.plant(pathOf(name), undefined);
  }
}

/** Path of a file of the log. */
export function pathOf(name: string): string {
  return `${LOG_DIRECTORY}/${name}`;
}

/** Name of the segment that begins at `offset`. */
export function segmentOf(offset: number): string {
  return `${String(offset).padStart(20, '0')}.log`;
}
